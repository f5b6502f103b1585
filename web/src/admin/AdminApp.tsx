// The routes of the admin pages, and the check of the role. The pages are in `features`.

import { lazy, Suspense } from "react";
import { Redirect, Route, Switch } from "wouter";
import { SignInPrompt } from "../components/SignInPrompt";
import { useUser } from "../lib/session";
import { AdminLayout } from "./components/AdminLayout";
import { AdminNotFound } from "./components/AdminNotFound";
import { AdminRequired } from "./components/AdminRequired";
import { AdminSalesPage } from "./features/catalogue/AdminSalesPage";
import { ProductPage } from "./features/catalogue/ProductPage";
import { ProductsPage } from "./features/catalogue/ProductsPage";
import { SaleFormPage } from "./features/catalogue/SaleFormPage";
import { AdminOrdersPage } from "./features/orders/AdminOrdersPage";
import { AttemptsPage } from "./features/records/AttemptsPage";
import { LedgerPage } from "./features/records/LedgerPage";
import { LinePage } from "./features/records/LinePage";
import { t } from "./lib/texts";

/** Only these pages load the script of the charts. */
const BoardPage = lazy(() => import("./features/board/BoardPage"));
const SummaryPage = lazy(() => import("./features/board/SummaryPage"));
const WebhooksPage = lazy(() => import("./features/webhooks/WebhooksPage"));
const IntegrationsPage = lazy(() => import("./features/integrations/IntegrationsPage"));
const WebhookPage = lazy(() => import("./features/webhooks/WebhookPage"));

export function AdminApp() {
  return (
    <AdminLayout>
      <AdminContent />
    </AdminLayout>
  );
}

function AdminContent() {
  const user = useUser();
  if (user === null) return <SignInPrompt text={t("sign_in.text")} />;
  if (user.role !== "admin") return <AdminRequired user={user} />;
  return (
    <Suspense fallback={<div className="skeleton h-64" aria-busy="true" />}>
      <AdminRoutes />
    </Suspense>
  );
}

function AdminRoutes() {
  return (
    <Switch>
      <Route path="/admin" component={AdminSalesPage} />
      <Route path="/admin/sales">
        <Redirect to="/admin" replace />
      </Route>
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
      <Route path="/admin/sales/:id/orders">{({ id }) => <AdminOrdersPage key={id} saleId={id} />}</Route>
      <Route path="/admin/sales/:id/attempts">{({ id }) => <AttemptsPage key={id} id={id} />}</Route>
      <Route path="/admin/sales/:id/ledger">{({ id }) => <LedgerPage key={id} id={id} />}</Route>
      <Route path="/admin/sales/:id/summary">{({ id }) => <SummaryPage key={id} id={id} />}</Route>
      <Route path="/admin/orders">
        <AdminOrdersPage />
      </Route>
      <Route path="/admin/webhooks" component={WebhooksPage} />
      <Route path="/admin/webhooks/new">
        <WebhookPage key="new" />
      </Route>
      <Route path="/admin/webhooks/:id">{({ id }) => <WebhookPage key={id} id={id} />}</Route>
      <Route path="/admin/integrations" component={IntegrationsPage} />
      <Route>
        <AdminNotFound />
      </Route>
    </Switch>
  );
}
