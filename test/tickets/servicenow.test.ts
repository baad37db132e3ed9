import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ErrorCode } from "../../common/error-codes.ts";
import { basicCredentials, bearerCredentials, oauthCredentials } from "../../control/tickets/servicenow-auth.ts";
import type { TicketSystem, TicketType } from "../../control/tickets/ticket-system.ts";
import { CI, CLIENT, type Stand, startStand, ticketDraft, USERS } from "./stand.ts";

async function withStand(
  run: (stand: Stand) => Promise<void>,
  options: Parameters<typeof startStand>[0] = {},
): Promise<void> {
  const stand = await startStand(options);
  try {
    await run(stand);
    assert.deepEqual(stand.fake.unmodelled, []);
  } finally {
    await stand.stop();
  }
}

const code = (expected: ErrorCode, text = /./) => ({ code: expected, message: text });
const creations = ({ fake }: Stand) => fake.requests.filter((line) => line === "POST /api/sn_chg_rest/change").length;

describe("the life of a change request", () => {
  test("a normal change is opened, checked, approved by two people, carried out and closed", () =>
    withStand(async ({ tickets, fake, decide, url }) => {
      const { ticket, ignored } = await tickets.open(ticketDraft({ cis: [CI.pay, CI.web] }));
      assert.deepEqual(ignored, []);
      assert.equal(ticket.url, `${url}/change_request.do?sys_id=${ticket.id}`);
      const change = fake.table.byNumber(ticket.number);
      assert.equal(change.fields.get("start_date"), "2026-03-02 07:00:00");
      assert.equal(change.fields.get("correlation_id"), "ballast:demo:12");
      assert.match(change.fields.get("description")!, /50.00% → 20.00%/);
      assert.deepEqual([...change.affected], [CI.pay, CI.web]);
      assert.deepEqual(await tickets.checkConflicts(ticket), []);

      await tickets.update(ticket, { phase: "assess" });
      assert.equal((await tickets.approvalState(ticket)).approval, "requested");
      assert.equal(await decide(USERS.peer, ticket.number, "approved"), 200);
      assert.equal((await tickets.approvalState(ticket)).phase, "authorize");
      assert.equal(await decide(USERS.board, ticket.number, "approved"), 200);
      const view = await tickets.approvalState(ticket);
      assert.equal(view.phase, "scheduled");
      assert.equal(view.approval, "approved");
      assert.deepEqual(
        view.decisions.map(({ by, verdict }) => [by, verdict]),
        [
          ["cab.one", "approved"],
          ["peer.one", "approved"],
        ],
      );
      assert.ok(view.decisions[0]!.names.includes("Carla Board") && view.decisions[0]!.atMs !== null);
      assert.ok(view.openedBy.includes("ballast.integration"));

      await tickets.update(ticket, { phase: "implement", startedAtMs: Date.UTC(2026, 2, 2, 7, 5), note: "In force." });
      const [startedAtMs, endedAtMs] = [Date.UTC(2026, 2, 2, 7, 5), Date.UTC(2026, 2, 2, 7, 20)];
      await tickets.close(ticket, { code: "successful_issues", notes: "superseded", startedAtMs, endedAtMs });
      assert.equal(change.fields.get("state"), "3");
      assert.equal(change.fields.get("close_code"), "successful_issues");
      assert.equal(change.fields.get("work_end"), "2026-03-02 07:20:00");
    }));

  test("a standard change comes from its template and needs no approval", () =>
    withStand(async ({ tickets, fake }) => {
      const { ticket } = await tickets.open(ticketDraft({ type: "standard" }));
      const change = fake.table.byNumber(ticket.number);
      assert.equal(change.fields.get("type"), "standard");
      assert.equal(change.fields.get("description"), "as the template says");
      assert.match(change.workNotes[0]!, /50.00% → 20.00%/);
      for (const phase of ["scheduled", "implement", "review"] as const) await tickets.update(ticket, { phase });
      await tickets.close(ticket, { code: "successful", notes: "baked", startedAtMs: 0, endedAtMs: 1000 });
      assert.equal(change.fields.get("state"), "3");
    }));

  test("an emergency goes to authorisation at once", () =>
    withStand(async ({ tickets, decide }) => {
      const { ticket } = await tickets.open(ticketDraft({ type: "emergency" }));
      await tickets.update(ticket, { phase: "authorize" });
      assert.equal(await decide(USERS.board, ticket.number, "approved"), 200);
      assert.equal((await tickets.approvalState(ticket)).phase, "scheduled");
    }));

  test("a rejection shows its author and its reason", () =>
    withStand(async ({ tickets, decide }) => {
      const { ticket } = await tickets.open(ticketDraft());
      await tickets.update(ticket, { phase: "assess" });
      assert.equal(await decide(USERS.peer, ticket.number, "rejected"), 400, "comments are required");
      assert.equal(await decide(USERS.peer, ticket.number, "rejected", "not on a Monday"), 200);
      const view = await tickets.approvalState(ticket);
      assert.deepEqual([view.phase, view.approval], ["new", "rejected"]);
      assert.equal(view.decisions[0]!.comment, "not on a Monday");
    }));
});

describe("calls may be repeated", () => {
  test("opening the same change twice gives the same ticket, also when the first answer was lost", () =>
    withStand(async (stand) => {
      stand.fake.faults.push({ method: "POST", what: "lost" });
      await assert.rejects(stand.tickets.open(ticketDraft()), code("TICKET_SYSTEM_DOWN"));
      assert.equal(creations(stand), 1, "a creation is never repeated blindly");
      const { ticket } = await stand.tickets.open(ticketDraft());
      assert.deepEqual((await stand.tickets.open(ticketDraft())).ticket, ticket);
      assert.equal(stand.fake.table.changes.size, 1);
    }));

  test("an update that was done but not answered adds its note once", () =>
    withStand(async ({ tickets, fake }) => {
      const { ticket } = await tickets.open(ticketDraft());
      fake.faults.push({ method: "PATCH", what: "lost" });
      await assert.rejects(tickets.update(ticket, { phase: "assess", note: "once" }), code("TICKET_SYSTEM_DOWN"));
      await tickets.update(ticket, { phase: "assess", note: "once" });
      assert.deepEqual(fake.table.byNumber(ticket.number).workNotes, ["once"]);
    }));

  test("closing goes on where it stopped", () =>
    withStand(async ({ tickets, fake }) => {
      const { ticket } = await tickets.open(ticketDraft({ type: "standard" }));
      for (const phase of ["scheduled", "implement"] as const) await tickets.update(ticket, { phase });
      const outcome = { code: "successful", notes: "baked", startedAtMs: 0, endedAtMs: 1000 } as const;
      // The first PATCH goes to Review; the second, to Closed, fails for good.
      fake.faults.push({ method: "PATCH", what: "lost" }, ...[500, 500].map((what) => ({ method: "PATCH", what })));
      await assert.rejects(tickets.close(ticket, outcome), code("TICKET_SYSTEM_DOWN"));
      await tickets.close(ticket, outcome);
      await tickets.close(ticket, outcome);
      assert.equal(fake.table.byNumber(ticket.number).fields.get("state"), "3");
    }));

  test("a query that the instance does not understand finds nobody else's ticket", () =>
    withStand(async ({ tickets, fake }) => {
      fake.unsearchable.add("correlation_id");
      const { ticket } = await tickets.open(ticketDraft());
      const other = await tickets.open(ticketDraft({ correlationId: "ballast:demo:13" }));
      assert.notEqual(other.ticket.id, ticket.id);
    }));

  test("what the account may not write is reported", () =>
    withStand(async ({ tickets, fake }) => {
      fake.table.readOnly.add("correlation_id").add("cmdb_ci");
      assert.deepEqual((await tickets.open(ticketDraft())).ignored, ["correlation_id", "cmdb_ci"]);
    }));
});

describe("conflicts", () => {
  test("a blackout is found, also when the check takes its time", () =>
    withStand(async ({ tickets, fake }) => {
      fake.table.checkLooks = 6;
      fake.table.blackouts.push({ name: "quarter end", start: "2026-03-02 07:30:00", end: "2026-03-02 09:00:00" });
      const { ticket } = await tickets.open(ticketDraft());
      const found = await tickets.checkConflicts(ticket);
      assert.deepEqual(found, [{ type: "blackout", text: "Blackout quarter end" }]);
      fake.table.blackouts.length = 0;
      assert.deepEqual(
        await tickets.checkConflicts(ticket),
        [],
        "the answer of the first check is not taken for the second's",
      );
    }));

  test("another change that holds the CI is found", () =>
    withStand(async ({ tickets }) => {
      const first = await tickets.open(ticketDraft({ type: "standard", correlationId: "ballast:demo:1" }));
      await tickets.update(first.ticket, { phase: "scheduled" });
      const { ticket } = await tickets.open(ticketDraft());
      assert.deepEqual(
        (await tickets.checkConflicts(ticket)).map(({ type }) => type),
        ["ci_already_scheduled"],
      );
    }));

  test("a check that does not end is given up", () =>
    withStand(async ({ connect, fake }) => {
      fake.table.checkLooks = 1_000_000;
      const tickets = connect(basicCredentials("ballast.integration", "ballast.integration-secret"), {
        checkTimeoutMs: 30,
      });
      const { ticket } = await tickets.open(ticketDraft());
      await assert.rejects(tickets.checkConflicts(ticket), code("TICKET_CHECK_PENDING"));
    }));

  test("without a CI there is nothing to check against, and that is an error", () =>
    withStand(async ({ tickets }) => {
      const { ticket } = await tickets.open(ticketDraft({ cis: [] }));
      await assert.rejects(tickets.checkConflicts(ticket), code("TICKET_REFUSED", /Configuration item is required/));
    }));

  test("a CI that the instance does not know is reported and does not stop the ticket", () =>
    withStand(async ({ tickets }) => {
      const { ignored } = await tickets.open(ticketDraft({ cis: [CI.pay, "e".repeat(32)] }));
      assert.deepEqual(ignored, ["affected CIs"]);
    }));
});

describe("what the ticket system refuses comes back with its reason", () => {
  const skips: [TicketType, "scheduled" | "implement" | "review" | "authorize"][] = [
    ["normal", "authorize"],
    ["normal", "scheduled"],
    ["normal", "implement"],
    ["standard", "implement"],
    ["emergency", "scheduled"],
    ["emergency", "review"],
  ];
  for (const [type, phase] of skips) {
    test(`a ${type} change cannot go from new to ${phase}`, () =>
      withStand(async ({ tickets }) => {
        const { ticket } = await tickets.open(ticketDraft({ type }));
        await assert.rejects(
          tickets.update(ticket, { phase }),
          code("TICKET_REFUSED", /Invalid state.*it accepts New/),
        );
      }));
  }

  test("a review cannot be cancelled, and a close needs its notes", () =>
    withStand(async ({ tickets }) => {
      const { ticket } = await tickets.open(ticketDraft({ type: "standard" }));
      for (const phase of ["scheduled", "implement", "review"] as const) await tickets.update(ticket, { phase });
      await assert.rejects(tickets.update(ticket, { phase: "canceled" }), code("TICKET_REFUSED", /Review to Canceled/));
      const outcome = { code: "successful", notes: " ", startedAtMs: 0, endedAtMs: 1000 } as const;
      await assert.rejects(tickets.close(ticket, outcome), code("TICKET_REFUSED", /close notes are mandatory/i));
    }));

  test("a group is demanded, a wrong template and a deleted ticket are not found", () =>
    withStand(async ({ tickets, connect, fake }) => {
      const basic = basicCredentials("ballast.integration", "ballast.integration-secret");
      const bare = connect(basic, { assignmentGroup: null, standardTemplate: "f".repeat(32) });
      const { ticket } = await bare.open(ticketDraft());
      await assert.rejects(bare.update(ticket, { phase: "assess" }), code("TICKET_REFUSED", /Assignment group/));
      await assert.rejects(bare.open(ticketDraft({ type: "standard", correlationId: "x" })), code("TICKET_NOT_FOUND"));
      fake.table.changes.delete(ticket.id);
      await assert.rejects(tickets.approvalState(ticket), code("TICKET_NOT_FOUND"));
    }));

  test("an update that a rule of the instance drops without an error is noticed", () =>
    withStand(async ({ tickets, fake }) => {
      const { ticket } = await tickets.open(ticketDraft());
      fake.faults.push({ method: "PATCH", what: "unchanged" });
      await assert.rejects(tickets.update(ticket, { phase: "assess" }), code("TICKET_REFUSED", /stays in new/));
    }));

  test("planned times that make no sense are refused", () =>
    withStand(async ({ tickets }) => {
      const draft = ticketDraft({ plannedEndMs: ticketDraft().plannedStartMs });
      await assert.rejects(tickets.open(draft), code("TICKET_REFUSED", /must be after/));
    }));
});

describe("signing in", () => {
  const approvalOf = async (tickets: TicketSystem) => (await tickets.open(ticketDraft())).ticket.number;

  test("wrong secrets and missing roles have their own codes, and no message has the secret", () =>
    withStand(async ({ connect }) => {
      const wrong = connect(basicCredentials("ballast.integration", "guessed"));
      await assert.rejects(wrong.open(ticketDraft()), (error: Error & { code: string }) => {
        assert.equal(error.code, "TICKET_AUTH");
        return !error.message.includes("guessed");
      });
      await assert.rejects(connect(bearerCredentials("x")).open(ticketDraft()), code("TICKET_AUTH"));
      const nobody = connect(basicCredentials(USERS.nobody.account, USERS.nobody.password));
      await assert.rejects(nobody.open(ticketDraft()), code("TICKET_FORBIDDEN"));
      const reader = connect(basicCredentials(USERS.reader.account, USERS.reader.password));
      await assert.rejects(reader.open(ticketDraft()), code("TICKET_FORBIDDEN", /POST/));
    }));

  const oauth = (url: string, over: object = {}) =>
    oauthCredentials({
      url,
      user: USERS.ballast.account,
      password: USERS.ballast.password,
      clientId: CLIENT.id,
      clientSecret: CLIENT.secret,
      ...over,
    });

  test("an OAuth token is asked for once, and renewed when the instance ends it", () =>
    withStand(async ({ connect, url, fake }) => {
      const tickets = connect(oauth(url));
      const number = await approvalOf(tickets);
      fake.expireTokens();
      assert.equal(await approvalOf(tickets), number, "by the refresh token");
      fake.expireTokens(true);
      assert.equal(await approvalOf(tickets), number, "by the password");
    }));

  test("a token that is about to end is renewed before it is refused", () =>
    withStand(async ({ connect, url, fake }) => {
      let nowMs = 0;
      const tickets = connect(oauth(url, { monotonicMs: () => nowMs }));
      await approvalOf(tickets);
      nowMs = 1790 * 1000;
      fake.expireTokens();
      fake.requests.length = 0;
      await approvalOf(tickets);
      assert.equal(fake.requests.length, 1, "no call was refused");
    }));

  test("a client that the instance does not know gets no token", () =>
    withStand(async ({ connect, url }) => {
      await assert.rejects(
        connect(oauth(url, { clientSecret: "no" })).open(ticketDraft()),
        code("TICKET_AUTH", /oauth_token/),
      );
    }));
});

describe("trouble on the way", () => {
  test("what can be repeated is, and the rest is reported at once", () =>
    withStand(async (stand) => {
      const { tickets, fake } = stand;
      fake.faults.push({ method: "GET", what: 503 }, { method: "GET", what: "lost" });
      await tickets.open(ticketDraft());
      fake.faults.push({ method: "POST", path: /change$/, what: 503 });
      await assert.rejects(tickets.open(ticketDraft({ correlationId: "other" })), code("TICKET_SYSTEM_DOWN", /503/));
      assert.equal(creations(stand), 2);
      fake.faults.push(...Array.from({ length: 3 }, () => ({ method: "GET", what: 500 })));
      await assert.rejects(tickets.open(ticketDraft()), code("TICKET_SYSTEM_DOWN", /500/));
    }));

  test("a short Retry-After is waited for, also by a creation; a long one is handed on", () =>
    withStand(async (stand) => {
      const { tickets, fake } = stand;
      fake.faults.push({ method: "POST", what: 429, retryAfter: "0" });
      await tickets.open(ticketDraft());
      assert.equal(fake.table.changes.size, 1);
      fake.faults.push({ what: 429, retryAfter: "1800" });
      await assert.rejects(tickets.open(ticketDraft()), { code: "TICKET_RATE_LIMITED", retryAfterMs: 1_800_000 });
    }));

  test("silence, pages, redirects and endless answers end in bounded time and space", () =>
    withStand(async ({ connect, fake }) => {
      const credentials = basicCredentials("ballast.integration", "ballast.integration-secret");
      const quick = connect(credentials, { timeoutMs: 60, maxBytes: 1 << 20 });
      fake.faults.push(...Array.from({ length: 3 }, () => ({ what: "hang" as const })));
      await assert.rejects(quick.open(ticketDraft()), code("TICKET_SYSTEM_DOWN", /no answer in time/));
      const tickets = connect(credentials, { maxBytes: 1 << 20 });
      for (const what of ["page", "redirect", "huge"] as const) {
        fake.faults.push({ what });
        await assert.rejects(tickets.open(ticketDraft()), code("TICKET_ANSWER_INVALID"), what);
      }
    }));

  test("an instance that is not there is down", async () => {
    const stand = await startStand();
    await stand.stop();
    await assert.rejects(stand.tickets.open(ticketDraft()), code("TICKET_SYSTEM_DOWN", /ECONNREFUSED/));
  });

  test("a caller that gives up ends a call with its own reason", () =>
    withStand(async ({ tickets, fake }) => {
      fake.faults.push({ what: "hang" });
      const reason = new Error("the server stops");
      const signal = AbortSignal.any([AbortSignal.timeout(30)]);
      await assert.rejects(tickets.open(ticketDraft(), { signal }), { name: "TimeoutError" });
      await assert.rejects(tickets.open(ticketDraft(), { signal: AbortSignal.abort(reason) }), reason);
    }));
});
