/** Of several records with one sys_id one counts; the others are to be reported. */
export interface Copies<T> {
  /** One record per sys_id, in the order of sys_ids. */
  kept: T[];
  left: { left: T; kept: T; same: boolean }[];
}

/**
 * The record with the greatest `rank` is kept. `rank` begins with the time of the last update and ends with the whole
 * content, so that the order of a file never decides; two records of one rank are the same.
 */
export function keepLatest<T extends { sysId: string }>(records: readonly T[], rank: (record: T) => string): Copies<T> {
  const bySysId = new Map<string, T[]>();
  for (const record of records) {
    const list = bySysId.get(record.sysId);
    if (list === undefined) bySysId.set(record.sysId, [record]);
    else list.push(record);
  }
  const copies: Copies<T> = { kept: [], left: [] };
  for (const list of bySysId.values()) {
    if (list.length === 1) {
      copies.kept.push(list[0]!);
      continue;
    }
    const ranked = list.map((record) => ({ record, rank: rank(record) })).sort((a, b) => (a.rank > b.rank ? -1 : 1));
    const best = ranked[0]!;
    copies.kept.push(best.record);
    for (const other of ranked.slice(1)) {
      copies.left.push({ left: other.record, kept: best.record, same: other.rank === best.rank });
    }
  }
  copies.kept.sort((a, b) => (a.sysId < b.sysId ? -1 : 1));
  return copies;
}

/** A time of the last update as the beginning of a rank. */
export function rankTime(updatedMs: number | null): string {
  return String(updatedMs ?? 0).padStart(16, "0");
}
