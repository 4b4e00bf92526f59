import "uplot/dist/uPlot.min.css";
import "./style/page.css";
import "./style/panels.css";
import { App } from "./app.ts";

void new App(document.getElementById("app")!).start();
