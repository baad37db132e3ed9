import type { z } from "zod";
import type { CheckpointStore } from "../checkpoint/store.ts";
import type { ApiRequest, ApiRoute } from "./api-server.ts";
import type { Changes } from "./changes.ts";
import type { StatusPorts } from "./status.ts";

/** What the operations are answered from. */
export interface ApiPorts extends StatusPorts {
  changes: Changes;
  store: CheckpointStore;
  /** Time since the head of the store was confirmed, and the longest that counts. */
  confirmedAgoMs: () => number;
  leaseTtlMs: number;
}

/** A route whose body has the type of its schema. */
export function route<B extends z.ZodType | null>(
  spec: Omit<ApiRoute, "handle" | "body"> & {
    body: B;
    handle(request: ApiRequest<B extends z.ZodType ? z.infer<B> : undefined>): unknown;
  },
): ApiRoute {
  return spec as unknown as ApiRoute;
}
