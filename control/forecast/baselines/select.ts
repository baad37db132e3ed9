/**
 * The value that would stand at `place` if values[from … to) were sorted: quickselect (Hoare 1961, "Find") with the middle of three as pivot. Moves the
 * values so that none before the place is greater than it and none behind it is less; four quantiles of a month's errors cost a tenth of a sort.
 * A span that will not shrink is sorted instead, so that no order of the values costs more than that.
 *
 * @param values none of them NaN
 */
export function select(values: Float64Array, place: number, from = 0, to = values.length): number {
  let low = from;
  let high = to - 1;
  let triesLeft = 2 * Math.ceil(Math.log2(to - from + 1));
  while (low < high) {
    if (triesLeft-- === 0) {
      values.subarray(low, high + 1).sort();
      break;
    }
    const pivot = middleOf(values[low]!, values[(low + high) >> 1]!, values[high]!);
    let i = low;
    let j = high;
    while (i <= j) {
      while (values[i]! < pivot) i++;
      while (values[j]! > pivot) j--;
      if (i > j) break;
      const moved = values[i]!;
      values[i++] = values[j]!;
      values[j--] = moved;
    }
    // Between j and i lies what equals the pivot.
    if (place <= j) high = j;
    else if (place >= i) low = i;
    else break;
  }
  return values[place]!;
}

function middleOf(a: number, b: number, c: number): number {
  if (a < b) return b < c ? b : a < c ? c : a;
  return a < c ? a : b < c ? c : b;
}
