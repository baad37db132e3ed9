import { MetricType, Status } from "./abi.ts";
import { AbiViolation, type Vm } from "./vm.ts";

const BUFFER_GRPC_RECEIVE = 5;
const BUFFER_PLUGIN_CONFIGURATION = 7;
const MAP_REQUEST_HEADERS = 0;

/**
 * The host's side of every import for one VM. Statuses are those of Envoy 1.40; what is not modelled throws instead of
 * answering something.
 */
export function imports(vm: Vm): Record<string, (...args: never[]) => number> {
  const envoy = vm.envoy;
  const calls = {
    proxy_log(level: number, pointer: number, length: number) {
      vm.logs.push({ level, text: vm.text(pointer, length) });
      return Status.Ok;
    },

    proxy_set_tick_period_milliseconds(periodMs: number) {
      const { root } = vm.callback;
      root.tickPeriodMs = periodMs;
      root.nextTickNs = envoy.nowNs + BigInt(periodMs) * 1_000_000n;
      return Status.Ok;
    },

    proxy_get_property(pointer: number, length: number, pointerOut: number, lengthOut: number) {
      const path = vm.text(pointer, length).split("\0").join(".");
      const { request } = vm.callback;
      let value: string | undefined;
      if (path === "xds.route_name") {
        if (request === undefined) throw new AbiViolation("xds.route_name outside of a request");
        value = request.routeName;
      } else if (path === "xds.node.id") value = envoy.node.id;
      else if (path === "xds.node.cluster") value = envoy.node.cluster;
      else if (path === "plugin_name") value = vm.callback.root.plugin.name;
      else if (path === "plugin_root_id") value = vm.callback.root.plugin.rootId;
      else throw new AbiViolation(`the host does not model the property ${path}`);
      if (value === undefined) return Status.NotFound;
      return vm.giveValue(new TextEncoder().encode(value), pointerOut, lengthOut);
    },

    proxy_get_buffer_bytes(buffer: number, start: number, length: number, pointerOut: number, lengthOut: number) {
      const { configuration, grpcMessage } = vm.callback;
      let bytes: Uint8Array | undefined;
      if (buffer === BUFFER_PLUGIN_CONFIGURATION) bytes = configuration;
      else if (buffer === BUFFER_GRPC_RECEIVE) bytes = grpcMessage;
      else throw new AbiViolation(`the host does not model buffer ${buffer}`);
      // Buffers are there during their own callback only.
      if (bytes === undefined) return Status.NotFound;
      const from = Math.min(start >>> 0, bytes.length);
      const part = bytes.subarray(from, from + (length >>> 0));
      // cpp-host leaves the out-words alone when there is nothing to copy.
      return part.length === 0 ? Status.Ok : vm.giveValue(part, pointerOut, lengthOut);
    },

    proxy_get_header_map_value(map: number, key: number, keyLength: number, pointerOut: number, lengthOut: number) {
      const value = headers(map).get(vm.text(key, keyLength).toLowerCase());
      if (value === undefined) return Status.NotFound;
      return vm.giveValue(Buffer.from(value, "latin1"), pointerOut, lengthOut);
    },

    proxy_get_header_map_pairs(map: number, pointerOut: number, lengthOut: number) {
      return vm.giveValue(marshalPairs(headers(map)), pointerOut, lengthOut);
    },

    proxy_replace_header_map_value(map: number, key: number, keyLength: number, value: number, valueLength: number) {
      headers(map).set(
        vm.text(key, keyLength).toLowerCase(),
        Buffer.from(vm.read(value, valueLength)).toString("latin1"),
      );
      vm.callback.request!.writes++;
      return Status.Ok;
    },

    proxy_get_shared_data(key: number, keyLength: number, pointerOut: number, lengthOut: number, casOut: number) {
      const entry = envoy.shared.get(vm.vmId, vm.text(key, keyLength));
      if (entry === undefined) return Status.NotFound;
      const status = vm.giveValue(entry.value, pointerOut, lengthOut);
      if (status === Status.Ok) vm.writeU32(casOut, entry.cas);
      return status;
    },

    proxy_set_shared_data(key: number, keyLength: number, value: number, valueLength: number, cas: number) {
      return envoy.shared.set(vm.vmId, vm.text(key, keyLength), vm.read(value, valueLength), cas >>> 0);
    },

    proxy_register_shared_queue(name: number, nameLength: number, tokenOut: number) {
      vm.writeU32(tokenOut, envoy.shared.register(vm.vmId, vm.text(name, nameLength), vm.callback.root));
      return Status.Ok;
    },

    proxy_enqueue_shared_queue(token: number, value: number, valueLength: number) {
      const queue = envoy.shared.queue(token);
      if (queue === undefined) return Status.NotFound;
      queue.entries.push(vm.read(value, valueLength));
      envoy.postQueueReady(queue.owner, token);
      return Status.Ok;
    },

    proxy_dequeue_shared_queue(token: number, pointerOut: number, lengthOut: number) {
      const queue = envoy.shared.queue(token);
      if (queue === undefined) return Status.NotFound;
      const entry = queue.entries.shift();
      if (entry === undefined) return Status.Empty;
      return vm.giveValue(entry, pointerOut, lengthOut);
    },

    proxy_grpc_stream(
      service: number,
      serviceLength: number,
      name: number,
      nameLength: number,
      method: number,
      methodLength: number,
      metadata: number,
      metadataLength: number,
      tokenOut: number,
    ) {
      if (metadataLength !== 0 || metadata !== 0) throw new AbiViolation("the host does not model initial metadata");
      const cluster = clusterOf(vm.read(service, serviceLength));
      const path = `/${vm.text(name, nameLength)}/${vm.text(method, methodLength)}`;
      const token = envoy.grpc.open(vm.callback.root, cluster, path);
      if (token === undefined) return Status.InternalFailure;
      vm.writeU32(tokenOut, token);
      return Status.Ok;
    },

    proxy_grpc_send(token: number, message: number, length: number, end: number) {
      return envoy.grpc.send(vm.callback.root, token, vm.read(message, length), end !== 0);
    },
    proxy_grpc_close(token: number) {
      return envoy.grpc.close(vm.callback.root, token);
    },
    proxy_grpc_cancel(token: number) {
      return envoy.grpc.cancel(vm.callback.root, token);
    },

    proxy_define_metric(type: number, name: number, nameLength: number, idOut: number) {
      if (type !== MetricType.Counter && type !== MetricType.Gauge) throw new AbiViolation(`metric type ${type}`);
      vm.writeU32(idOut, envoy.metrics.define(type, vm.text(name, nameLength)));
      return Status.Ok;
    },
    proxy_increment_metric(id: number, delta: bigint) {
      return envoy.metrics.increment(id, delta);
    },
    proxy_record_metric(id: number, value: bigint) {
      return envoy.metrics.record(id, value);
    },

    clock_time_get(clock: number, _precision: bigint, out: number) {
      if (clock !== 1) throw new AbiViolation(`clock ${clock}: this filter judges time by the monotonic clock only`);
      vm.writeU64(out, envoy.nowNs);
      return 0;
    },
    random_get(to: number, length: number) {
      vm.write(to, envoy.random.bytes(length));
      return 0;
    },
  };

  function headers(map: number): Map<string, string> {
    if (map !== MAP_REQUEST_HEADERS) throw new AbiViolation(`the host does not model header map ${map}`);
    const { request } = vm.callback;
    if (request === undefined) throw new AbiViolation("request headers outside of a request");
    return request.headers;
  }

  return calls as unknown as Record<string, (...args: never[]) => number>;
}

/** u32 count, u32 lengths of each name and value, then the texts with a NUL behind each: PairsUtil::marshalPairs of proxy-wasm-cpp-host. */
function marshalPairs(headers: ReadonlyMap<string, string>): Uint8Array {
  const texts = [...headers].flatMap(([name, value]) => [Buffer.from(name, "latin1"), Buffer.from(value, "latin1")]);
  const lengths = Buffer.alloc(4 + 4 * texts.length);
  lengths.writeUInt32LE(headers.size);
  for (const [i, text] of texts.entries()) lengths.writeUInt32LE(text.length, 4 + 4 * i);
  return Buffer.concat([lengths, ...texts.flatMap((text) => [text, Buffer.of(0)])]);
}

/** GrpcService{envoy_grpc{cluster_name}}; anything else would be looked up as a bare name or abort Envoy. */
function clusterOf(bytes: Uint8Array): string {
  const at = (i: number) => bytes[i] ?? -1;
  const length = at(3);
  const nested = at(0) === 0x0a && at(1) === length + 2 && at(2) === 0x0a && bytes.length === length + 4;
  if (!nested || length > 125) throw new AbiViolation("the service is not GrpcService{envoy_grpc{cluster_name}}");
  return new TextDecoder().decode(bytes.subarray(4));
}
