import { type ParseArgsConfig, parseArgs } from "node:util";
import { callApi } from "./api-client.ts";
import type { Command, Io } from "./io.ts";
import { serverAddress } from "./server-address.ts";

type Flags = NonNullable<ParseArgsConfig["options"]>;

const SERVER_FLAGS = {
  config: { type: "string", default: "demo/ballast.yaml" },
  server: { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

type Parsed<F extends Flags> = ReturnType<
  typeof parseArgs<{ args: string[]; allowPositionals: true; options: F & typeof SERVER_FLAGS }>
>;

interface Asked<F extends Flags> {
  values: Parsed<F>["values"];
  /** Empty unless the command takes positional arguments. */
  positionals: string[];
  /** Calls the API of the server that --server or --config names. Errors: those of `callApi` and of the configuration. */
  call(method: "GET" | "POST", path: string, body?: unknown): Promise<unknown>;
  io: Io;
}

/**
 * A command that asks a running control server: its own flags beside --config, --server, --json and --help, which all such
 * commands have. `act` returns the exit code, nothing for 0. An unknown flag or an argument too many is a USAGE error.
 */
export function serverCommand<const F extends Flags>(
  command: { usage: string; flags?: F; positionals?: boolean },
  act: (asked: Asked<F>) => Promise<number | undefined>,
): Command {
  return async (args, io) => {
    const options = { ...command.flags, ...SERVER_FLAGS };
    const { values, positionals } = parseArgs({ args, allowPositionals: command.positionals ?? false, options });
    const server = values as { help: boolean; server?: string; config: string };
    if (server.help) {
      io.out(command.usage);
      return 0;
    }
    const call = async (method: "GET" | "POST", path: string, body?: unknown) =>
      callApi(await serverAddress(server), method, path, body);
    return (await act({ values: values as unknown as Parsed<F>["values"], positionals, call, io })) ?? 0;
  };
}
