import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { NumberColumn } from "./number-column.ts";

function numbers(cells: readonly string[], separator = ","): number[] {
  const column = new NumberColumn();
  for (const [i, cell] of cells.entries()) {
    const wrong = column.add(cell, i + 2);
    if (wrong !== null) throw new Error(`${i + 2}: ${wrong}`);
  }
  return column.numbers(separator, (what, line) => {
    throw new Error(`${line}: ${what}`);
  });
}

describe("a column of numbers", () => {
  test("says by its other cells whether a comma is the decimal sign or groups thousands", () => {
    assert.deepEqual(numbers(["1,234", "2,345.5", "7"]), [1234, 2345.5, 7]);
    assert.deepEqual(numbers(["1,234", "999.5"]), [1234, 999.5]);
    assert.deepEqual(numbers(["1,234,567", "1,234"]), [1_234_567, 1234]);
    assert.deepEqual(numbers(["1,234", "2,5"]), [1.234, 2.5]);
    assert.deepEqual(numbers(["1.234,5", "1.234", "1.234.567", "-,5"], ";"), [1234.5, 1234, 1_234_567, -0.5]);
  });

  test("takes a comma as decimal where it separates no cells and nothing else is said, and else refuses to guess", () => {
    assert.deepEqual(numbers(["1,234", "1.234"], ";"), [1.234, 1.234]);
    assert.throws(() => numbers(["7", "1,234"]), /^Error: 3: 1,234 may be a decimal or thousands: write 1234 or 1.234/);
    assert.throws(() => numbers(["1,5", "2.5"], ";"), /^Error: 3: 2.5 has another decimal sign than 1,5 in line 2/);
    assert.throws(() => numbers(["1,234.5", "1.234,5"]), /^Error: 3: 1.234,5 has another decimal sign/);
  });

  test("has cells that stand for nothing, in the words of databases and spreadsheets", () => {
    for (const cell of ["", "NA", "nan", "NULL", "None", "-", ".", "?", "#N/A", "n/a", "<NA>"])
      assert.deepEqual(numbers(["1", cell]), [1, Number.NaN], cell);
  });

  test("refuses what only a program takes for a number", () => {
    for (const cell of ["0x1F", "0b1", "1_000", "12 ms", "75%", "true", "1e", "--1", "1,2,3", "1.2.3", ","])
      assert.throws(() => numbers([cell]), /is not a number/, cell);
    for (const cell of ["Infinity", "-inf", "1e999"])
      assert.throws(() => numbers([cell]), /is not a finite number/, cell);
  });

  test("comes back whatever the writing of its numbers", () => {
    const forms: [string, (n: number) => string][] = [
      [",", (n) => n.toLocaleString("en-US", { minimumFractionDigits: 2 })],
      [";", (n) => n.toLocaleString("de-DE", { minimumFractionDigits: 2 })],
      [",", (n) => n.toFixed(2)],
      [";", (n) => n.toFixed(2).replace(".", ",")],
    ];
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1e9, max: 1e9 }), { minLength: 1 }), (hundredths) => {
        const wanted = hundredths.map((n) => n / 100);
        for (const [separator, write] of forms) assert.deepEqual(numbers(wanted.map(write), separator), wanted);
      }),
      { numRuns: 50 },
    );
  });
});
