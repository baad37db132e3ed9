/** Room that a message's headers take of the server's `max_payload`. */
const HEADER_BYTES = 1_024;

/** Cuts bytes to what one message may carry. At least one chunk, also of nothing. */
export function splitChunks(bytes: Uint8Array, maxPayloadBytes: number): Uint8Array[] {
  const size = maxPayloadBytes - HEADER_BYTES;
  if (size < HEADER_BYTES) throw new Error(`the NATS server takes messages of ${maxPayloadBytes} bytes only`);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  return chunks;
}
