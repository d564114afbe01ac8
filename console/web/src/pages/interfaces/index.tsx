//! Interfaces: all of them, one of them, and which service calls which.
import { here, param } from "../../lib/url";
import { Tabs } from "../../ui/parts";
import { Detail } from "./Detail";
import "./interfaces.css";
import { List } from "./List";
import { ServiceMap } from "./Map";
import { w } from "./words";

export default function Interfaces() {
  const [service, name] = [param("service"), param("interface")];
  if (service && name) return <Detail key={`${service} ${name}`} service={service} name={name} />;
  const view = param("view") === "map" ? "map" : "list";
  return (
    <div class="page-full interfaces">
      <Tabs
        label={w.views()}
        current={view}
        tabs={[
          { key: "list", label: w.list(), href: here({ view: null, service: null }) },
          { key: "map", label: w.map(), href: here({ view: "map", q: null, sort: null, by: null }) },
        ]}
      />
      {view === "map" ? <ServiceMap /> : <List />}
    </div>
  );
}
