declare module 'prebuildify' {
  interface Options {
    targets: string[]
    napi: boolean
    name: string
    nodeGyp: string
    out: string
    strip: boolean
  }
  export default function prebuildify(options: Options, callback: (error: Error | null) => void): void
}
