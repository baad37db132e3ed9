/** A Markdown table with padded cells, so that it reads the same on a terminal. The first column is left-aligned, numbers right. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const width = head.map((cell, column) => Math.max(3, cell.length, ...rows.map((row) => (row[column] ?? "").length)));
  const numeric = head.map(
    (_, column) => column > 0 && rows.every((row) => /^[-+±\d.,~–×%( )[\]µsk]*$/.test(row[column] ?? "")),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (numeric[i] ? cell.padStart(width[i] ?? 0) : cell.padEnd(width[i] ?? 0))).join(" | ")} |`;
  const rule = `|${width.map((n, i) => (numeric[i] ? `${"-".repeat(n + 1)}:` : "-".repeat(n + 2))).join("|")}|`;
  return [line(head), rule, ...rows.map((row) => line(head.map((_, i) => row[i] ?? "")))].join("\n");
}
