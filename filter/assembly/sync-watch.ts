// Silence, judged alike everywhere: a sign unchanged for a second of this VM's monotonic clock and for ten of its own ticks,
// so that an observer that was paused itself does not misjudge. Never by the wall clock.

const SILENT_AFTER_MS: u32 = 1_000;
const SILENT_AFTER_TICKS: u32 = 10;


@unmanaged
export class Watch {
  sign: u64;
  since: u32;
  ticks: u32;
}

/** Once per tick: notes the sign; true when it has not changed for long enough. */
export function isSilent(watch: Watch, sign: u64, now: u32): bool {
  if (watch.sign != sign) {
    watch.sign = sign;
    watch.since = now;
    watch.ticks = 0;
  }
  return (++watch.ticks > SILENT_AFTER_TICKS) & (now - watch.since >= SILENT_AFTER_MS);
}
