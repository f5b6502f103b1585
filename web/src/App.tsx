// The addresses of the shop. Each leads to one page; what a page does is in its feature.

import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useRef } from "react";
import { Route, Switch, useLocation } from "wouter";
import { ErrorBoundary } from "./components/ErrorBoundary";
import { Layout } from "./components/Layout";
import { Lost } from "./components/Lost";
import { RegisterPage } from "./features/account/RegisterPage";
import { SignInPage } from "./features/account/SignInPage";
import { OrderPage } from "./features/orders/OrderPage";
import { OrdersPage } from "./features/orders/OrdersPage";
import { SalePage } from "./features/sale/SalePage";
import { SalesPage } from "./features/sales/SalesPage";
import { t, useLanguage } from "./lib/i18n";
import { queryClient, useForgetful } from "./lib/queries";

/** The merchant's pages come with a script and texts of their own, which no buyer waits for. */
const AdminApp = lazy(async () => {
  const [{ AdminApp }, { ready }] = await Promise.all([
    import("./admin/AdminApp"),
    import("./admin/lib/texts"),
  ]);
  await ready;
  return { default: AdminApp };
});

export function App() {
  // All texts change with it.
  const language = useLanguage();
  return (
    <ErrorBoundary key={language}>
      <QueryClientProvider client={queryClient}>
        <Pages />
      </QueryClientProvider>
    </ErrorBoundary>
  );
}

function Pages() {
  useForgetful();
  useFreshStart();
  return (
    <Switch>
      <Route path="/admin/*?">
        <Suspense fallback={<p className="p-6 text-soft">{t("loading")}</p>}>
          <AdminApp />
        </Suspense>
      </Route>
      <Route>
        <ShopPages />
      </Route>
    </Switch>
  );
}

function ShopPages() {
  return (
    <Layout>
      <Switch>
        <Route path="/" component={SalesPage} />
        <Route path="/s/:slug">{({ slug }) => <SalePage key={slug} slug={slug} />}</Route>
        <Route path="/orders" component={OrdersPage} />
        <Route path="/orders/:id">{({ id }) => <OrderPage key={id} id={id} />}</Route>
        <Route path="/sign-in" component={SignInPage} />
        <Route path="/register" component={RegisterPage} />
        <Route component={Lost} />
      </Switch>
    </Layout>
  );
}

/** A new page begins at its top, also for those who listen; the first one the browser announces by itself. */
function useFreshStart(): void {
  const [path] = useLocation();
  const last = useRef(path);
  useEffect(() => {
    if (last.current === path) return;
    last.current = path;
    window.scrollTo(0, 0);
    document.getElementById("content")?.focus({ preventScroll: true });
  }, [path]);
}
