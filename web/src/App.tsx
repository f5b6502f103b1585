// The routes of the shop. Each leads to a page in `features`.

import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useRef } from "react";
import { Route, Switch, useLocation } from "wouter";
import { ErrorBoundary } from "./components/ErrorBoundary";
import { Layout } from "./components/Layout";
import { NotFound } from "./components/NotFound";
import { RegisterPage } from "./features/account/RegisterPage";
import { SignInPage } from "./features/account/SignInPage";
import { OrderPage } from "./features/orders/OrderPage";
import { OrdersPage } from "./features/orders/OrdersPage";
import { SalePage } from "./features/sale/SalePage";
import { SalesPage } from "./features/sales/SalesPage";
import { t, useLanguage } from "./lib/i18n";
import { queryClient, useClearOwnData } from "./lib/queryCache";

/** The admin pages have a script and texts of their own, so that buyers do not load them. */
const AdminApp = lazy(async () => {
  const [{ AdminApp }, { ready }] = await Promise.all([
    import("./admin/AdminApp"),
    import("./admin/lib/texts"),
  ]);
  await ready;
  return { default: AdminApp };
});

/** Few buyers open it, and none needs it to buy. */
const AccountPage = lazy(async () => {
  const { AccountPage } = await import("./features/account/AccountPage");
  return { default: AccountPage };
});

export function App() {
  const locale = useLanguage();
  return (
    <ErrorBoundary key={locale}>
      <QueryClientProvider client={queryClient}>
        <AppRoutes />
      </QueryClientProvider>
    </ErrorBoundary>
  );
}

function AppRoutes() {
  useClearOwnData();
  useScrollToTop();
  return (
    <Switch>
      <Route path="/admin/*?">
        <Suspense fallback={<p className="p-6 text-soft">{t("loading")}</p>}>
          <AdminApp />
        </Suspense>
      </Route>
      <Route>
        <ShopRoutes />
      </Route>
    </Switch>
  );
}

/** Few buyers come without an account, and none of them needs it to buy. */
const FindOrderPage = lazy(async () => {
  const [{ FindOrderPage }, { ready }] = await Promise.all([
    import("./features/account/FindOrderPage"),
    import("./features/account/findOrderTexts"),
  ]);
  await ready;
  return { default: FindOrderPage };
});

function ShopRoutes() {
  return (
    <Layout>
      <Switch>
        <Route path="/" component={SalesPage} />
        <Route path="/s/:slug">{({ slug }) => <SalePage key={slug} slug={slug} />}</Route>
        <Route path="/orders" component={OrdersPage} />
        <Route path="/orders/find">
          <Suspense fallback={<PageSkeleton />}>
            <FindOrderPage />
          </Suspense>
        </Route>
        <Route path="/orders/:id">{({ id }) => <OrderPage key={id} id={id} />}</Route>
        <Route path="/account">
          <Suspense fallback={<PageSkeleton />}>
            <AccountPage />
          </Suspense>
        </Route>
        <Route path="/sign-in" component={SignInPage} />
        <Route path="/register" component={RegisterPage} />
        <Route>
          <NotFound />
        </Route>
      </Switch>
    </Layout>
  );
}

function PageSkeleton() {
  return <div className="skeleton mx-auto h-96 max-w-md" aria-busy="true" />;
}

/** Scrolls each new page to its top and moves the focus there for screen readers. The browser does so for the first page. */
function useScrollToTop(): void {
  const [path] = useLocation();
  const shownPath = useRef(path);
  useEffect(() => {
    if (shownPath.current === path) return;
    shownPath.current = path;
    window.scrollTo(0, 0);
    document.getElementById("content")?.focus({ preventScroll: true });
  }, [path]);
}
