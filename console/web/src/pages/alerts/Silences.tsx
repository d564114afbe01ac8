//! Silences: which are in force, whose they are and why; made, changed and ended by operators.
import { useState } from "preact/hooks";
import { del, get } from "../../lib/api";
import { problemOf, useData } from "../../lib/data";
import type { Problem } from "../../lib/api";
import { may } from "../../lib/session";
import { ago, clock, now } from "../../lib/time";
import type { Silence } from "../../lib/types/alerts";
import { here, param, set } from "../../lib/url";
import { Badge, Empty, ProblemBox, Show } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import { matchersText, matcherText } from "./matchers";
import { w } from "./words";

const STATES = { active: w.in_force, pending: w.planned, expired: w.expired };
const TONES = { active: "info", pending: "warn", expired: "idle" } as const;

/** `made` counts silences that were made: the list is loaded again. */
export function SilencesTab({ made }: { made: number }) {
  const showsExpired = param("expired") === "true";
  const silences = useData(["silences", made, now.value, param("tenant")], (signal) => get<Silence[]>("/api/v1/silences", {}, signal));
  const [problem, setProblem] = useState<Problem>();
  const expire = (id: string) => del("/api/v1/silences/{id}", { id }).then(
      () => {
        setProblem(undefined);
        silences.reload();
      },
      (error: unknown) => setProblem(problemOf(error)),
    );
  const make = may("operator") && (
    <a class="btn btn-primary" href={here({ silence: "{}" })}>
      {w.make_silence()}
    </a>
  );
  return (
    <>
      <div class="row al-tools">
        <label class="row">
          <input type="checkbox" checked={showsExpired} onChange={() => set({ expired: showsExpired ? null : "true" }, true)} />
          {w.show_expired()}
        </label>
        <span class="grow" />
        {make || <span class="faint">{w.may_not()}</span>}
      </div>
      {problem && <ProblemBox problem={problem} />}
      <Show of={silences}>
        {(all) => {
          const shown = all.filter((silence) => showsExpired || silence.status.state !== "expired");
          return <Table label={w.silences_list()} columns={columns(expire)} rows={shown} keyOf={(silence) => silence.id} sort="-ends" empty={<Empty action={make}>{w.silences_none()}</Empty>} />;
        }}
      </Show>
    </>
  );
}

function columns(expire: (id: string) => void): Column<Silence>[] {
  return [
    { key: "state", head: w.state(), width: "90px", cell: ({ status: { state } }) => <Badge tone={TONES[state]}>{STATES[state]()}</Badge>, sort: ({ status }) => status.state },
    {
      key: "matchers",
      head: w.matchers(),
      cell: ({ matchers }) => (
        <span class="al-matchers" title={matchersText(matchers).slice(0, 4096)}>
          {matchers.slice(0, 8).map((matcher) => (
            <code key={matcherText(matcher)} class="chip">
              {matcherText(matcher).slice(0, 120)}
            </code>
          ))}
          {matchers.length > 8 && <span class="faint">{w.and_more({ n: matchers.length - 8 })}</span>}
        </span>
      ),
    },
    { key: "comment", head: w.comment(), cell: ({ comment }) => <span title={comment.slice(0, 4096)}>{comment.slice(0, 200)}</span>, wide: true },
    { key: "author", head: w.author(), cell: ({ createdBy }) => createdBy.slice(0, 80) || w.no_author(), sort: ({ createdBy }) => createdBy, wide: true },
    { key: "ends", head: w.ends(), cell: ({ endsAt }) => <span title={clock(endsAt)}>{ago(endsAt)}</span>, sort: ({ endsAt }) => Date.parse(endsAt), align: "right" },
    { key: "actions", head: "", align: "right", cell: (silence) => may("operator") && <Actions silence={silence} expire={expire} /> },
  ];
}

function Actions({ silence, expire }: { silence: Silence; expire: (id: string) => void }) {
  const [sure, setSure] = useState(false);
  const form = here({ silence: matchersText(silence.matchers), id: silence.id });
  if (silence.status.state === "expired") return <a class="btn" href={here({ silence: matchersText(silence.matchers), again: silence.id })}>{w.again()}</a>;
  return (
    <span class="row al-actions">
      <a class="btn" href={form}>
        {w.edit()}
      </a>
      <button class={sure ? "btn btn-danger" : "btn"} type="button" onBlur={() => setSure(false)} onClick={() => (sure ? expire(silence.id) : setSure(true))}>
        {sure ? w.expire_sure() : w.expire()}
      </button>
    </span>
  );
}
