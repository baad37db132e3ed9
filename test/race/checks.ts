import { digestHex } from "../../common/xxh64.ts";
import type { CoroutineVm } from "./coroutine-vm.ts";
import type { Observer, RaceEnvoy } from "./race-envoy.ts";
import type { World } from "./world.ts";

const STEER = 1;
const FREE = 0;
const COUNTING = 2;

/** A span of steps in which a VM's record on the board said something. `to` is open while it still does. */
interface Claim {
  what: "staged" | "active";
  epoch: bigint;
  digest: bigint;
  mode: number;
  from: number;
  to: number;
}

interface Member {
  /** Name of its slot on the board; undefined when it has none. */
  slot: string | undefined;
  incarnation: bigint;
  /** Step since which it counts without a break; undefined while it does not. */
  countingSince: number | undefined;
  claims: Claim[];
  quarantined: boolean;
  /** Index in `activations` below which this VM may never serve again. */
  rank: number;
  /** Its active claim changed in the callback in progress. */
  claimedRank: number | undefined;
}

export interface Activated {
  epoch: bigint;
  digest: bigint;
  mode: number;
}

/**
 * The invariants of the hand-over, looked at from outside: what is written to shared data, what lies in a VM's memory, what
 * a request would be answered, and what goes to the control server.
 */
export class Checks implements Observer {
  readonly #envoy: RaceEnvoy;
  readonly #world: World;
  readonly #members = new Map<CoroutineVm, Member>();
  /** Every (set, mode) that the header ever named as active, in order. */
  readonly activations: Activated[] = [];
  /** Digests that the server asked to activate. */
  readonly allowed = new Set<bigint>();
  asked = 0;
  /** Digest of the table at each index of the store in shared data. */
  readonly #tables = new Map<string, bigint>();
  #staged = 0n;

  constructor(envoy: RaceEnvoy, world: World) {
    this.#envoy = envoy;
    this.#world = world;
    envoy.observer = this;
  }

  isQuarantined(vm: CoroutineVm): boolean {
    return this.#members.get(vm)?.quarantined ?? false;
  }

  written(vm: CoroutineVm, key: string, value: Uint8Array): void {
    // ballast/<layout>/<hash>/<kind><number>
    const name = key.split("/")[3];
    // ballast/<layout>/filters-of-this-vm-id is no part of the protocol.
    if (name === undefined) return;
    const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
    if (name.startsWith("h")) this.#header(view);
    if (name.startsWith("t")) this.#table(vm, name, view);
    if (name.startsWith("m")) this.#record(vm, name, view);
  }

  async ended(vm: CoroutineVm): Promise<void> {
    const member = this.#members.get(vm);
    if (!vm.running || member === undefined) return;
    const claimed = member.claimedRank;
    member.claimedRank = undefined;
    if (claimed === undefined && !this.#envoy.random.chance(0.02)) return;
    await this.ask(vm, claimed ?? 0);
  }

  /** What this VM would answer now: one whole activated set, none older than before. Its place in `activations`, -1 for none. */
  async ask(vm: CoroutineVm, least = 0): Promise<number> {
    if (!vm.running || vm.busy || !vm.roots.some((root) => root.alive)) return -1;
    const member = this.#memberOf(vm);
    const { services } = this.#world;
    const routes = services.length <= 8 ? services : Array.from({ length: 8 }, () => this.#envoy.random.pick(services));
    const answers = new Map<string, string | undefined>();
    for (const route of routes) answers.set(route, await vm.ask(route));
    this.asked += routes.length;
    if (!vm.running) throw new Error(`${vm.name} trapped on a request: ${String(vm.trapped)}`);
    const lowest = Math.max(member.rank, least);
    if ([...answers.values()].every((answer) => answer === undefined)) {
      // Nothing held yet, starting empty on purpose, a mode that leaves requests alone, or services the set does not have.
      const mayPass =
        member.quarantined ||
        lowest <= 0 ||
        this.activations.some(
          ({ digest, mode }, rank) => rank >= lowest && (mode !== STEER || this.#fits(digest, answers)),
        );
      if (!mayPass) throw new Error(`${vm.name} steers nothing, though it held activation ${lowest}`);
      return -1;
    }
    const rank = this.activations.findIndex(
      ({ digest, mode }, i) => i >= lowest && mode === STEER && this.#fits(digest, answers),
    );
    if (rank < 0) {
      const older = this.activations.findIndex(({ digest }) => this.#fits(digest, answers));
      throw new Error(
        `${vm.name} answers ${JSON.stringify([...answers])}: ` +
          (older < 0 ? "no set that was ever activated" : `activation ${older}, older than ${lowest}`),
      );
    }
    if (!this.allowed.has(this.activations[rank]!.digest)) throw new Error(`nobody asked to activate rank ${rank}`);
    member.rank = rank;
    return rank;
  }

  /** An acknowledgement goes to the control server: every member that counts must have proved it to the leader. */
  acknowledged(leader: CoroutineVm, what: "stage" | "activation", epoch: bigint, digest: bigint, mode: number): void {
    let proofs = 0;
    for (const [vm, member] of this.#members) {
      const counts = member.countingSince !== undefined && member.countingSince <= leader.callbackSince;
      if (!counts || !vm.running) continue;
      const proved = member.claims.some(
        (claim) =>
          claim.to >= leader.callbackSince &&
          claim.epoch === epoch &&
          claim.digest === digest &&
          (what === "stage" || (claim.what === "active" && claim.mode === mode)),
      );
      if (!proved) {
        const held = member.claims
          .slice(-3)
          .map((c) => `${c.what} ${c.epoch}-${digestHex(c.digest)} m${c.mode} ${c.from}…${c.to}`);
        throw new Error(
          `${leader.name} acknowledged ${what} ${epoch}-${digestHex(digest)} m${mode} in the callback since ${leader.callbackSince}, ` +
            `but ${vm.name} (counting since ${member.countingSince}) said: ${held.join("; ")}`,
        );
      }
      proofs++;
    }
    if (
      proofs === 0 &&
      [...this.#members].some(
        ([vm, m]) => vm.running && m.countingSince !== undefined && m.countingSince <= leader.callbackSince,
      )
    )
      throw new Error("acknowledged without a member");
  }

  /** Who is seeded or joins later takes the active set from shared data: none of its tables may be overwritten there. */
  #table(vm: CoroutineVm, name: string, view: DataView): void {
    const lost = this.#tables.get(name);
    const digest = view.getBigUint64(16, true);
    this.#tables.set(name, digest);
    const active = this.activations.at(-1);
    if (lost === undefined || lost === digest || active === undefined) return;
    const isInUse = this.#world.sets.get(active.digest)!.tables.some((table) => table.digest === lost);
    if (isInUse && ![...this.#tables.values()].includes(lost)) {
      throw new Error(`${vm.name} overwrote a table of the active set in shared data`);
    }
  }

  #memberOf(vm: CoroutineVm): Member {
    let member = this.#members.get(vm);
    if (member === undefined) {
      member = {
        slot: undefined,
        incarnation: 0n,
        countingSince: undefined,
        claims: [],
        quarantined: false,
        rank: -1,
        claimedRank: undefined,
      };
      this.#members.set(vm, member);
    }
    return member;
  }

  #header(view: DataView): void {
    const staged = view.getInt32(32 + 24, true) < 0 ? 0n : view.getBigUint64(32, true);
    if (staged < this.#staged) throw new Error(`the staged epoch fell from ${this.#staged} to ${staged}`);
    this.#staged = staged;
    const epoch = view.getBigUint64(64, true);
    const digest = view.getBigUint64(72, true);
    const mode = view.getUint32(64 + 28, true);
    if (view.getInt32(64 + 24, true) < 0) return;
    const last = this.activations.at(-1);
    if (last !== undefined && last.epoch === epoch && last.digest === digest && last.mode === mode) return;
    if (last !== undefined && epoch < last.epoch)
      throw new Error(`the active epoch fell from ${last.epoch} to ${epoch}`);
    if (last !== undefined && epoch === last.epoch && digest !== last.digest)
      throw new Error(`epoch ${epoch} has two sets`);
    this.activations.push({ epoch, digest, mode });
  }

  #record(vm: CoroutineVm, slot: string, view: DataView): void {
    const state = view.getUint32(0, true);
    const incarnation = view.getBigUint64(8, true);
    for (const [other, member] of this.#members) {
      // Somebody else's life on this slot is over: declared dead, or its slot was claimed.
      if (member.slot === slot && (other !== vm || state === FREE || member.incarnation !== incarnation)) {
        member.slot = undefined;
        member.countingSince = undefined;
        for (const claim of member.claims) claim.to = Math.min(claim.to, this.#envoy.step);
      }
    }
    if (state === FREE) return;
    const member = this.#memberOf(vm);
    if (member.incarnation !== incarnation) {
      // A new life: what the one before proved is not this one's. Its record stays until it is declared dead.
      for (const claim of member.claims) claim.to = Math.min(claim.to, this.#envoy.step);
      member.countingSince = undefined;
    }
    member.slot = slot;
    member.incarnation = incarnation;
    if (state !== COUNTING) member.countingSince = undefined;
    else member.countingSince ??= this.#envoy.step;
    member.quarantined = view.getUint32(84, true) !== 0;
    const mode = view.getUint32(72, true);
    this.#claim(vm, member, "staged", view.getBigUint64(24, true), view.getBigUint64(32, true), 0);
    this.#claim(vm, member, "active", view.getBigUint64(40, true), view.getBigUint64(48, true), mode);
  }

  #claim(vm: CoroutineVm, member: Member, what: Claim["what"], epoch: bigint, digest: bigint, mode: number): void {
    const open = member.claims.findLast((claim) => claim.what === what && claim.to === Number.POSITIVE_INFINITY);
    if (open !== undefined) {
      if (open.epoch === epoch && open.digest === digest && open.mode === mode) return;
      open.to = this.#envoy.step;
    }
    if (epoch === 0n) return;
    member.claims.push({ what, epoch, digest, mode, from: this.#envoy.step, to: Number.POSITIVE_INFINITY });
    if (member.claims.length > 40) member.claims.shift();
    this.#assertHolds(vm, what, epoch, digest);
    if (what !== "active") return;
    const rank = this.activations.findLastIndex((a) => a.epoch === epoch && a.digest === digest && a.mode === mode);
    if (rank < 0)
      throw new Error(`${vm.name} claims to use ${epoch}-${digestHex(digest)} m${mode}, which the header never named`);
    member.claimedRank = rank;
  }

  /** The claim is true: every table lies in the VM's memory, outside of what the host handed over last. */
  #assertHolds(vm: CoroutineVm, what: string, epoch: bigint, digest: bigint): void {
    const set = this.#world.sets.get(digest);
    if (set === undefined)
      throw new Error(`${vm.name} claims ${what} ${epoch}-${digestHex(digest)}, which does not exist`);
    const { memory } = vm;
    for (const { service, bytes } of set.tables) {
      if (memory.indexOf(bytes, vm.afterHandedOver) >= 0) continue;
      throw new Error(`${vm.name} claims ${what} ${epoch}-${digestHex(digest)} without the table of ${service}`);
    }
  }

  #fits(digest: bigint, answers: ReadonlyMap<string, string | undefined>): boolean {
    for (const [service, answer] of answers) if (this.#world.valueOf(digest, service) !== answer) return false;
    return true;
  }
}
