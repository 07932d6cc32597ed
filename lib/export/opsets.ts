/** The versions of ONNX's operators that an export may use. Version 17 introduced the layer norm. */
export const OPSETS = { min: 17, max: 22, default: 18 } as const

/** The version of the file format for each version of the operators, see OP_SET_ID_VERSION_MAP in onnx/helper.py. */
export const IR_VERSIONS: Readonly<Record<number, bigint>> = {
  17: 8n,
  18: 8n,
  19: 9n,
  20: 9n,
  21: 10n,
  22: 10n,
}
