//! What an answer says about itself: errors, other meanings of the query, records that are missing.
import type { Problem } from "../../lib/api";
import { count } from "../../lib/format";
import { shortClock } from "../../lib/time";
import type { Gap, Hint } from "../../lib/types/logs";
import { ProblemBox } from "../../ui/parts";
import { QueryProblem } from "./QueryBar";
import { queryHref } from "./view";
import { w } from "./words";

const MOST_GAPS = 3;
const MOST_HINTS = 3;

export function Notices({ query, problem, hints, gaps, retry }: { query: string; problem: Problem | undefined; hints: Hint[]; gaps: Gap[]; retry: () => void }) {
  return (
    <>
      {problem && (problem.parameter === "query" ? <QueryProblem query={query} problem={problem} /> : <ProblemBox problem={problem} retry={retry} />)}
      {hints.slice(0, MOST_HINTS).map((hint) => (
        <p key={hint.message} class="log-notice" role="status">
          {hint.message}
          {hint.query !== undefined && (
            <a class="btn" href={queryHref(hint.query)}>
              {w.use_instead({ query: hint.query.length > 60 ? `${hint.query.slice(0, 60)}…` : hint.query })}
            </a>
          )}
        </p>
      ))}
      {gaps.slice(0, MOST_GAPS).map((gap) => (
        <p key={`${gap.partition} ${gap.start}`} class="log-notice tone-warn" role="status">
          {gapText(gap)}
        </p>
      ))}
    </>
  );
}

function gapText({ start, end, reason, records }: Gap): string {
  const time = (at: string | null) => (at ? shortClock(at) : w.unknown_time());
  const n = records === null ? w.some() : count(records);
  return (reason === "recreated" ? w.gap_recreated : w.gap_dropped)({ n, start: time(start), end: time(end) });
}
