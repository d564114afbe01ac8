//! Starts the page.
import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/parts.css";
import { App } from "./app/App";
import { listenToKeys } from "./lib/keys";
import { loadSession } from "./lib/session";
import "./lib/theme";
import { followLinks } from "./lib/url";

followLinks();
listenToKeys();
loadSession();
const place = document.getElementById("app");
if (place) render(<App />, place);
