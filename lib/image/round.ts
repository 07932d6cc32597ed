/** Rounds as Python's round() and torch.round do: halves go to the even neighbour. */
export function roundHalfToEven(value: number): number {
  const down = Math.floor(value)
  const rest = value - down
  return rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1
}
