import { BallastError } from "../../common/errors.ts";

/** TICKET_RATE_LIMITED, with the time after which calls are taken again. */
export class RateLimited extends BallastError {
  readonly retryAfterMs: number;

  constructor(what: string, retryAfterMs: number) {
    super("TICKET_RATE_LIMITED", what);
    this.retryAfterMs = retryAfterMs;
  }
}
