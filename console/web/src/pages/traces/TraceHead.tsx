//! What a trace is, in two lines.
import { count, ms } from "../../lib/format";
import { clock } from "../../lib/time";
import { href } from "../../lib/url";
import { Badge, CopyButton } from "../../ui/parts";
import type { Tree } from "./tree";
import { w } from "./words";

/** Services that are named. */
const NAMED = 12;

export function TraceHead({ id, tree, colors }: { id: string; tree: Tree; colors: Map<string, string> }) {
  const root = tree.nodes[tree.order.find((at) => !tree.nodes[at]?.isOrphan) ?? tree.order[0] ?? 0]?.span;
  const tenants = [...new Set(tree.nodes.map((node) => node.span.tenant).filter(Boolean))];
  const rest = tree.services.length - NAMED;
  return (
    <header class="trace-head">
      <div class="row">
        <a href={href("/traces")}>{w.back()}</a>
        <h2 class="trace-title ellipsis">
          {root?.service.slice(0, 200)} <span>{root?.name.slice(0, 300)}</span>
        </h2>
        <span class="mono faint trace-id">{id}</span>
        <CopyButton text={id} />
      </div>
      <div class="row trace-facts">
        <b>{ms(tree.duration)}</b>
        <span>{clock(tree.start)}</span>
        <span>
          {w.spans()} {count(tree.nodes.length)}
        </span>
        {tree.errors > 0 && (
          <Badge tone="bad">
            {w.errors()} {count(tree.errors)}
          </Badge>
        )}
        {tenants.length > 0 && (
          <span class="ellipsis">
            {w.tenant()} {tenants.slice(0, 5).join(", ").slice(0, 200)}
          </span>
        )}
        <span class="grow" />
        {tree.services.slice(0, NAMED).map((service) => (
          <span key={service} class="legend-item trace-service" title={service.slice(0, 400)}>
            <i class="swatch" style={{ background: `var(--${colors.get(service)})` }} />
            {service.slice(0, 100)}
          </span>
        ))}
        {rest > 0 && <span class="faint">+{rest}</span>}
      </div>
    </header>
  );
}
