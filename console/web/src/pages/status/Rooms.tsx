//! Up to when each room has read what the bus holds.
import { count, ms } from "../../lib/format";
import { now, shortClock } from "../../lib/time";
import { href } from "../../lib/url";
import { Badge, Panel } from "../../ui/parts";
import { findings, type RoomState } from "./health";
import { w } from "./words";

const PAGES = { logs: "/logs", spans: "/traces", metrics: "/gpus", alerts: "/alerts", usage: "/usage" } as const;

export function Rooms({ rooms }: { rooms: RoomState[] }) {
  return (
    <Panel title={w.rooms()} class="panel-flush">
      <div class="table-box" role="region" aria-label={w.rooms()} tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">{w.room()}</th>
              <th scope="col">{w.state()}</th>
              <th scope="col" class="right">
                {w.until()}
              </th>
              <th scope="col" class="right">
                {w.lag()}
              </th>
              <th scope="col" class="right">
                {w.gaps()}
              </th>
            </tr>
          </thead>
          <tbody>
            {rooms.map((room) => (
              <tr key={room.room}>
                <td>
                  <a href={href(PAGES[room.room])}>{w[room.room]()}</a>
                </td>
                <td>
                  <State room={room} />
                </td>
                <td class="right">{room.until === null ? "–" : shortClock(room.until)}</td>
                <td class="right">{room.until === null ? "–" : ms(Math.max(0, Math.round((now.value - room.until) / 100) * 100))}</td>
                <td class={room.gaps.length ? "right tone-bad" : "right"}>{count(room.gaps.length)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function State({ room }: { room: RoomState }) {
  if (room.error !== null) return <Badge tone="bad" title={room.error.slice(0, 2000)}>{w.failed()}</Badge>;
  if (room.until === null) return <Badge tone="idle">{w.nothing()}</Badge>;
  const isLate = findings({ roles: [], rooms: [{ ...room, gaps: [] }], collectors: [], files: [], unknown: null }, now.value).length > 0;
  return isLate ? <Badge tone="warn" title={room.late.join(", ").slice(0, 2000)}>{w.late()}</Badge> : <Badge tone="ok">{w.ok()}</Badge>;
}
