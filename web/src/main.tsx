import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { startLanguage } from "./lib/i18n";
import "./styles.css";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no root");
void startLanguage().then(() =>
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  ),
);
