//! Is weir itself healthy: roles, how far everything is read, and what became of every byte that collectors saw.
import { useData } from "../../lib/data";
import { asked, now, range } from "../../lib/time";
import { param } from "../../lib/url";
import { Show } from "../../ui/parts";
import { Collectors } from "./Collectors";
import { Course } from "./Course";
import { Files } from "./Files";
import { load } from "./load";
import { Roles } from "./Roles";
import { Rooms } from "./Rooms";
import "./status.css";
import { Verdict } from "./Verdict";

export default function Status() {
  const data = useData([asked.value, param("tenant"), now.value], (signal) => load(range.value, signal));
  return (
    <div class="page">
      <Show of={data}>
        {(health) => (
          <>
            <Verdict health={health} />
            <div class="status-two">
              <Rooms rooms={health.rooms} />
              <Roles roles={health.roles} />
            </div>
            <Collectors collectors={health.collectors} />
            <Files files={health.files} />
            <Course />
          </>
        )}
      </Show>
    </div>
  );
}
