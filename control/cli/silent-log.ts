/** For commands whose answer is the result itself: warnings show up in it (fallbackReasons), not beside it. */
export const silentLog = { info(): void {}, warn(): void {} };
