// Formats numbers for people.

/** 0.91234 -> "91.2%". */
export function formatShare(share: number): string {
  return `${(100 * Number(share)).toFixed(1)}%`
}

/** Four significant digits: 0.012345 -> "0.01235", 1234.5 -> "1,235"; tiny numbers get an exponent. */
export function formatNumber(value: number): string {
  value = Number(value) // a value from a file may not be a number, whatever its type says
  if (value !== 0 && Math.abs(value) < 1e-4) return value.toExponential(2)
  return value.toLocaleString('en-US', { maximumSignificantDigits: 4 })
}
