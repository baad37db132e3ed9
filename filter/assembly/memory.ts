// The large buffers. They lie above everything else, so that the addresses of the small ones stay short in the code;
// the two regions and the leader's directory follow them (store.ts). Drawn in filter/README.md.

/** Out-words of host calls, the first bytes of memory: the constants that address them are the most frequent ones. */
export const OUT = memory.data(32, 8);
/** This VM's own record on the board (sync-board.ts). Addresses below 128 are a byte shorter in the code: 45 of them. */
export const OWN_RECORD = memory.data(88, 8);

/** Largest value the host can return: a set's manifest, a table, a cookie header. A larger one makes the call fail. */
export const SCRATCH_BYTES: usize = 256 << 10;
/** Largest message of the control server. */
export const MESSAGE_BYTES: usize = 256 << 10;
/** Largest manifest: 4,096 services with names of 50 bytes on average. */
export const MANIFEST_BYTES: usize = 256 << 10;
/** Largest request: one that names 4,096 digests, with the node. */
export const REQUEST_BYTES: usize = 96 << 10;
/** One block of a configuration's texts, of which there are two. */
export const CONFIG_BYTES: usize = 96 << 10;
/** 16 bytes per service of the set being staged. */
export const ENTRIES_BYTES: usize = 4096 * 16;
/** Seed log: 256 entries of 16 bytes. */
export const SEED_LOG_BYTES: usize = 256 * 16;
/** Three words per target of the table being verified. */
export const TARGETS_BYTES: usize = 3 * 256 * 4;
/** Names of 32 routes without a table. */
export const ROUTE_NAMES_BYTES: usize = 32 * 130;
/** Twice as many as a table has targets at most. */
export const SEEN_BYTES: usize = 512;
/** 16,384 slots; the entries of `values` that fit into a block are 12,000. */
export const VALUE_INDEX_BYTES: usize = 16384 * 4;
/** What the leader knows of each member, and of the membership. */
export const WATCH_BYTES: usize = 257 * 16;


@inline
export function scratch(): usize {
  return __heap_base;
}


@inline
export function messageBuffer(): usize {
  return scratch() + SCRATCH_BYTES;
}


@inline
export function requestBuffer(): usize {
  return messageBuffer() + MESSAGE_BYTES;
}


@inline
export function configBlocks(): usize {
  return requestBuffer() + REQUEST_BYTES;
}


@inline
export function entriesBuffer(): usize {
  return configBlocks() + 2 * CONFIG_BYTES;
}


@inline
export function watchBuffer(): usize {
  return entriesBuffer() + ENTRIES_BYTES;
}


@inline
export function seedLog(): usize {
  return watchBuffer() + WATCH_BYTES;
}


@inline
export function targetsBuffer(): usize {
  return seedLog() + SEED_LOG_BYTES;
}


@inline
export function routeNames(): usize {
  return targetsBuffer() + TARGETS_BYTES;
}


@inline
export function seenBuffer(): usize {
  return routeNames() + ROUTE_NAMES_BYTES;
}


@inline
export function valueIndex(): usize {
  return seenBuffer() + SEEN_BYTES;
}


@inline
export function loadedManifest(): usize {
  return valueIndex() + VALUE_INDEX_BYTES;
}


@inline
export function stagedManifest(): usize {
  return loadedManifest() + MANIFEST_BYTES;
}

/** First byte after all of them. asconfig.json gives the module enough memory for them from the start. */
@inline
export function afterBuffers(): usize {
  return stagedManifest() + MANIFEST_BYTES;
}
