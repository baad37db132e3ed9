/** What a relation type says of its two ends. */
export type Direction = "parent depends" | "child depends" | "no dependency" | "unknown";

/** `parent::child` as cmdb_rel_type names them: the parent cannot work without the child. */
const DEPENDENCE = [
  "depends on::used by",
  "runs on::runs",
  "hosted on::hosts",
  "uses::used by",
  "virtualized by::virtualizes",
];

/** Types of the base system that say where things are or whom they talk to, not what they need. */
const OTHER = [
  "contains::contained by",
  "cluster of::cluster",
  "members::member of",
  "connects to::connected by",
  "exchanges data with::exchanges data with",
  "sends data to::receives data from",
  "provides::provided by",
  "owns::owned by",
  "managed by::manages",
  "located in::houses",
  "backup done by::does backup for",
];

const DIRECTIONS = new Map<string, Direction>();
for (const type of DEPENDENCE) {
  DIRECTIONS.set(type, "parent depends");
  DIRECTIONS.set(mirrored(type), "child depends");
}
for (const type of OTHER) {
  DIRECTIONS.set(type, "no dependency");
  DIRECTIONS.set(mirrored(type), "no dependency");
}

/** Case and spaces do not matter; `Used by::Depends on` is the mirror of `Depends on::Used by`. */
export function directionOf(type: string): Direction {
  const normal = type
    .split("::")
    .map((part) => part.trim().replace(/\s+/g, " ").toLowerCase())
    .join("::");
  return DIRECTIONS.get(normal) ?? "unknown";
}

/** Does the dependent get its processors from the dependency? */
export function carriesCapacity(type: string): boolean {
  return /^(runs on|hosted on|virtualized by)::/i.test(type);
}

function mirrored(type: string): string {
  return type.split("::").reverse().join("::");
}
