//! All that is known of one span.
import { useState } from "preact/hooks";
import { ms } from "../../lib/format";
import { clock } from "../../lib/time";
import { here, href } from "../../lib/url";
import { Badge, CopyButton, IconButton } from "../../ui/parts";
import { Icon } from "../../ui/icons";
import { LongText } from "../../ui/LongText";
import { tickText } from "./axis";
import { linksOf, tracesWith } from "./links";
import { selfTime, skew, type Tree } from "./tree";
import { w } from "./words";

/** Attributes, events and links that are listed unasked. */
const LISTED = 100;
/** Characters from which a value may scroll. */
const LONG = 400;

interface Props {
  tree: Tree;
  at: number;
  traceId: string;
  /** Share of the trace that waited for it; 0 where it is not on the critical path. */
  critical: number;
  onClose: () => void;
}

export function SpanPanel({ tree, at, traceId, critical, onClose }: Props) {
  const node = tree.nodes[at];
  if (!node) return null;
  const { span } = node;
  const links = linksOf(tree, traceId, span);
  const parent = tree.nodes[node.parent]?.span;
  const by = skew(tree, at);
  const { code, message } = span.status ?? { code: "unset", message: "" };
  const link = (to: string | null, text: string) =>
    to && (
      <a class="btn" href={to}>
        {text}
      </a>
    );
  return (
    <aside class="panel span-panel" aria-label={w.span()}>
      <header class="panel-head">
        <h2 class="span-title">
          {span.service.slice(0, 200)} <span>{span.name.slice(0, 400)}</span>
        </h2>
        <div class="panel-actions">
          <CopyButton text={JSON.stringify(span, null, 2)} />
          <IconButton icon="close" label={w.close_panel()} onClick={onClose} />
        </div>
      </header>
      <div class="span-inside">
        <div class="row">
          <Badge tone={code === "error" ? "bad" : code === "ok" ? "ok" : "idle"}>{code === "error" ? w.error() : code === "ok" ? w.ok() : w.unset()}</Badge>
          <Badge tone="idle">{span.kind}</Badge>
          {critical > 0 && <Badge tone="info">{w.critical()}</Badge>}
        </div>
        {message && (
          <div class="span-message">
            <LongText text={visible(message)} class="span-value" />
          </div>
        )}
        {node.isOrphan && <p class="tone-warn">{w.orphan()}</p>}
        {node.isFarOff && <p class="tone-warn">{w.far_off()}</p>}
        {by !== 0 && !node.isFarOff && <p class="tone-warn">{by < 0 ? w.skew_before({ length: ms(-by) }) : w.skew_after({ length: ms(by) })}</p>}
        <dl class="span-facts">
          <dt>{w.duration()}</dt>
          <dd>
            <b>{ms(node.end - node.start)}</b>
          </dd>
          <dt>{w.self_time()}</dt>
          <dd>{ms(selfTime(tree, at))}</dd>
          <dt>{w.starts()}</dt>
          <dd>
            {w.after_start({ length: tickText(node.start) })} <span class="faint">{clock(span.start)}</span>
          </dd>
          {span.tenant && (
            <>
              <dt>{w.tenant()}</dt>
              <dd>{span.tenant.slice(0, 200)}</dd>
            </>
          )}
          <dt>{w.span_id()}</dt>
          <dd class="mono">{span.span_id}</dd>
          {span.parent_span_id && (
            <>
              <dt>{w.parent()}</dt>
              <dd class="ellipsis">{parent ? <a href={here({ span: parent.span_id })}>{parent.name.slice(0, 200)}</a> : <span class="mono">{span.parent_span_id}</span>}</dd>
            </>
          )}
        </dl>
        <div class="row span-links">
          {link(links.logs, w.logs_of_span())}
          {link(links.interface, w.interface_page())}
          {link(links.pod, w.logs_of_pod())}
          {link(links.node, w.node_page())}
          {link(links.traces, w.similar())}
        </div>
        <Attributes key={`a${at}`} title={w.attributes()} of={span.attributes} isAsked />
        <Events key={`e${at}`} tree={tree} at={at} />
        {span.links?.length > 0 && (
          <Section key={`l${at}`} title={w.links()} count={span.links.length} open>
            {span.links.slice(0, LISTED).map((one, index) => (
              <div key={index} class="span-event">
                <a class="mono" href={href(`/traces/${one.trace_id}`, { span: one.span_id })}>
                  {w.linked_trace({ id: one.trace_id.slice(0, 16) })}
                </a>
                <Pairs of={one.attributes} />
              </div>
            ))}
          </Section>
        )}
        <Attributes key={`r${at}`} title={w.resource()} of={span.resource} isAsked />
        <Attributes key={`s${at}`} title={w.scope()} of={{ name: span.scope, ...span.scope_attributes }} />
      </div>
    </aside>
  );
}

/** Control characters, as of terminals' colours, as symbols. */
function visible(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f]/g, (control) => String.fromCharCode(0x2400 + control.charCodeAt(0)));
}

function Section({ title, count, open, children }: { title: string; count: number; open?: boolean; children: preact.ComponentChildren }) {
  return (
    <details class="span-section" open={open}>
      <summary>
        {title} <span class="faint">{count}</span>
      </summary>
      {children}
    </details>
  );
}

function Attributes({ title, of, isAsked }: { title: string; of: Record<string, unknown> | undefined; isAsked?: boolean }) {
  const count = Object.keys(of ?? {}).length;
  if (!count) return null;
  return (
    <Section title={title} count={count} open={title === w.attributes()}>
      <Pairs of={of} isAsked={isAsked} />
    </Section>
  );
}

/** Names with their values; `isAsked` adds links to the traces with the same value. */
function Pairs({ of, isAsked }: { of: Record<string, unknown> | undefined; isAsked?: boolean }) {
  const [all, setAll] = useState(false);
  const pairs = Object.entries(of ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  if (!pairs.length) return null;
  return (
    <>
      <dl class="span-pairs">
        {(all ? pairs : pairs.slice(0, LISTED)).map(([name, value]) => {
          const text = typeof value === "string" ? value : (JSON.stringify(value, null, 1) ?? "");
          const same = isAsked ? tracesWith(name, value) : null;
          return (
            <div key={name} class="span-pair">
              <dt class="mono">{name.slice(0, 400)}</dt>
              <dd class="span-scroll" tabIndex={text.length > LONG ? 0 : undefined}>
                <LongText text={visible(text)} class="span-value" />
              </dd>
              <dd class="span-tools">
                {same && (
                  <a class="btn btn-icon" href={same} title={w.similar()} aria-label={w.similar()}>
                    <Icon name="search" />
                  </a>
                )}
                <CopyButton text={text} />
              </dd>
            </div>
          );
        })}
      </dl>
      {!all && pairs.length > LISTED && (
        <button class="btn" type="button" onClick={() => setAll(true)}>
          {w.more_rows({ n: pairs.length })}
        </button>
      )}
    </>
  );
}

function Events({ tree, at }: { tree: Tree; at: number }) {
  const [all, setAll] = useState(false);
  const events = tree.nodes[at]?.span.events ?? [];
  if (!events.length) return null;
  return (
    <Section title={w.events()} count={events.length} open>
      {(all ? events : events.slice(0, LISTED)).map((event, index) => (
        <div key={index} class="span-event">
          <div class="row">
            <b class={event.name === "exception" ? "tone-bad" : ""}>{event.name.slice(0, 200)}</b>
            <span class="faint" title={clock(event.time)}>
              {w.after_start({ length: tickText(new Date(event.time).getTime() - tree.start) })}
            </span>
          </div>
          <Pairs of={event.attributes} />
        </div>
      ))}
      {!all && events.length > LISTED && (
        <button class="btn" type="button" onClick={() => setAll(true)}>
          {w.more_rows({ n: events.length })}
        </button>
      )}
    </Section>
  );
}
