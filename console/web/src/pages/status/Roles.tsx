//! The processes behind the page.
import type { RoleState } from "../../lib/types/status";
import { Badge, Panel } from "../../ui/parts";
import { w } from "./words";

export function Roles({ roles }: { roles: RoleState[] }) {
  return (
    <Panel title={w.roles()} class="panel-flush">
      <div class="table-box" role="region" aria-label={w.roles()} tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">{w.role()}</th>
              <th scope="col">{w.state()}</th>
              <th scope="col">{w.version()}</th>
              <th scope="col">{w.detail()}</th>
            </tr>
          </thead>
          <tbody>
            {roles.map((role) => (
              <tr key={`${role.role} ${role.url}`} class={role.reachable ? "" : "row-bad"}>
                <td title={role.url ?? undefined}>{role.role}</td>
                <td>
                  <State role={role} />
                </td>
                <td>{role.version ?? "–"}</td>
                <td title={detail(role).slice(0, 4000)}>{detail(role).slice(0, 400)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function State({ role }: { role: RoleState }) {
  if (!role.reachable) return <Badge tone="bad">{w.away()}</Badge>;
  if (!role.ready) return <Badge tone="warn">{w.waiting_role()}</Badge>;
  return Object.keys(role.degraded).length ? <Badge tone="warn">{w.degraded()}</Badge> : <Badge tone="ok">{w.ready()}</Badge>;
}

function detail({ error, waiting_for, degraded, url }: RoleState): string {
  const parts = [...Object.entries(waiting_for), ...Object.entries(degraded)].map(([part, why]) => `${part}: ${why}`);
  return error ?? (parts.join("; ") || (url ?? ""));
}
