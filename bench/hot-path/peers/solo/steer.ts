// The peer on @solo-io/proxy-runtime 0.1.8: the same job and configuration text as rust/src/lib.rs.
export * from "@solo-io/proxy-runtime/assembly/proxy";
import { Context, FilterHeadersStatusValues, RootContext, registerRootContext, stream_context } from "@solo-io/proxy-runtime/assembly";

const SLOTS = 1024;

class Table {
  names: string[] = [];
  slots: StaticArray<u8> = new StaticArray<u8>(SLOTS);
  phase: u32 = 0;
}

class SteerRoot extends RootContext {
  fixedService: string | null = null;
  session: bool = false;
  tables: Map<string, Table> = new Map<string, Table>();

  onConfigure(bytes: u32): bool {
    if (!super.onConfigure(bytes)) return false;
    const lines = this.getConfiguration().split("\n");
    for (let i = 0; i < lines.length; i++) {
      const words = lines[i].trim().split(" ");
      if (words[0] == "service" && words.length == 3) this.fixedService = words[2];
      else if (words[0] == "session") this.session = words[1] == "on";
      else if (words[0] == "table") this.tables.set(words[1], build(words));
    }
    return true;
  }

  createContext(contextId: u32): Context {
    return new Steer(contextId, this);
  }
}

/** Spreads each target's slots over the table by a stride that is coprime to its length. */
function build(words: string[]): Table {
  const table = new Table();
  let at = 0;
  for (let i = 2; i < words.length; i++) {
    const parts = words[i].split(":");
    table.names.push(parts[0]);
    const count = <i32>parseInt(parts[1]);
    for (let k = 0; k < count; k++) table.slots[(at++ * 633) % SLOTS] = <u8>(i - 2);
  }
  return table;
}

function sessionOf(cookie: string): string {
  let from = 0;
  if (!cookie.startsWith("sid=")) {
    from = cookie.indexOf("; sid=");
    if (from < 0) return "";
    from += 2;
  }
  const end = cookie.indexOf(";", from);
  return cookie.substring(from + 4, end < 0 ? cookie.length : end);
}

function fnv1a(key: string): u64 {
  let hash: u64 = 0xcbf29ce484222325;
  for (let i = 0; i < key.length; i++) hash = (hash ^ <u64>key.charCodeAt(i)) * 0x100000001b3;
  return hash;
}

class Steer extends Context {
  constructor(contextId: u32, root: SteerRoot) {
    super(contextId, root);
  }

  onRequestHeaders(_headers: u32, _end: bool): FilterHeadersStatusValues {
    const root = changetype<SteerRoot>(this.root_context);
    const fixed = root.fixedService;
    const service = fixed === null ? stream_context.headers.request.get("x-service") : fixed;
    if (!root.tables.has(service)) return FilterHeadersStatusValues.Continue;
    const table = root.tables.get(service);
    const key = root.session ? sessionOf(stream_context.headers.request.get("cookie")) : "";
    const slot = key.length > 0 ? <u32>(fnv1a(key) >> 54) : table.phase++ & (SLOTS - 1);
    stream_context.headers.request.replace("x-ballast-target", table.names[table.slots[slot]]);
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext((contextId: u32) => new SteerRoot(contextId), "steer");
