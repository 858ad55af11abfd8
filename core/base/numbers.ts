/** Numbers, as engines like them. */

/**
 * The same number; a small integer in the form in which an object's field holds it by itself. A number that was read from a
 * `Float64Array`, or out of eight bytes, is of the other form: each field that takes it is memory of its own, four of them
 * half a message.
 */
export function compact(value: number): number {
  const small = value | 0;
  return small === value ? small : value;
}
