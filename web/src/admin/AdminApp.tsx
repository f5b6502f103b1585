// The merchant's pages: their addresses, and who may see them. What a page does is in its feature.

import { lazy, Suspense } from "react";
import { Route, Switch } from "wouter";
import { NotFound } from "../components/NotFound";
import { SignInPrompt } from "../components/SignInPrompt";
import { type Session, session } from "../lib/session";
import { useStore } from "../lib/store";
import { Frame } from "./components/Frame";
import { NotAnAdmin } from "./components/NotAnAdmin";
import { ProductPage } from "./features/catalogue/ProductPage";
import { ProductsPage } from "./features/catalogue/ProductsPage";
import { SaleFormPage } from "./features/catalogue/SaleFormPage";
import { SalesPage } from "./features/catalogue/SalesPage";
import { OrdersPage } from "./features/orders/OrdersPage";
import { AttemptsPage } from "./features/records/AttemptsPage";
import { LedgerPage } from "./features/records/LedgerPage";
import { LinePage } from "./features/records/LinePage";
import { t } from "./lib/texts";

/** With the charts, which only these pages need. */
const BoardPage = lazy(() => import("./features/board/BoardPage"));
const SummaryPage = lazy(() => import("./features/board/SummaryPage"));

export function AdminApp() {
  const who = useStore(session);
  return (
    <Frame>
      <Allowed who={who} />
    </Frame>
  );
}

function Allowed({ who }: { who: Session }) {
  if (who.status !== "in") return <SignInPrompt text={t("sign_in.text")} />;
  if (who.user.role !== "admin") return <NotAnAdmin user={who.user} />;
  return (
    <Suspense fallback={<div className="skeleton h-64" aria-busy="true" />}>
      <Pages />
    </Suspense>
  );
}

function Pages() {
  return (
    <Switch>
      <Route path="/admin" component={SalesPage} />
      <Route path="/admin/products" component={ProductsPage} />
      <Route path="/admin/products/new">
        <ProductPage key="new" />
      </Route>
      <Route path="/admin/products/:id">{({ id }) => <ProductPage key={id} id={id} />}</Route>
      <Route path="/admin/sales/new">
        <SaleFormPage key="new" />
      </Route>
      <Route path="/admin/sales/:id">{({ id }) => <BoardPage key={id} id={id} />}</Route>
      <Route path="/admin/sales/:id/edit">{({ id }) => <SaleFormPage key={id} id={id} />}</Route>
      <Route path="/admin/sales/:id/line">{({ id }) => <LinePage key={id} id={id} />}</Route>
      <Route path="/admin/sales/:id/orders">{({ id }) => <OrdersPage key={id} saleId={id} />}</Route>
      <Route path="/admin/sales/:id/attempts">{({ id }) => <AttemptsPage key={id} id={id} />}</Route>
      <Route path="/admin/sales/:id/ledger">{({ id }) => <LedgerPage key={id} id={id} />}</Route>
      <Route path="/admin/sales/:id/summary">{({ id }) => <SummaryPage key={id} id={id} />}</Route>
      <Route path="/admin/orders">
        <OrdersPage />
      </Route>
      <Route component={NotFound} />
    </Switch>
  );
}
