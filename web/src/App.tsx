// The routes of the shop. Each leads to a page in `features`.

import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useRef } from "react";
import { Route, Switch, useLocation } from "wouter";
import { ErrorBoundary } from "./components/ErrorBoundary";
import { Layout } from "./components/Layout";
import { NotFound } from "./components/NotFound";
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

/** Few buyers open these, or only after the first page: its script does without them. */
const AccountPage = lazy(() => import("./features/account/AccountPage"));
const OrdersPage = lazy(() => import("./features/orders/OrdersPage"));
const RegisterPage = lazy(() => import("./features/account/RegisterPage"));
const SignInPage = lazy(loadSignInPage);
const OrderPage = lazy(loadOrderPage);

/** The pages that links of mails lead to, with texts of their own. */
const ForgotPasswordPage = lazy(() => withMailTexts(import("./features/account/ForgotPasswordPage")));
const ResetPasswordPage = lazy(() => withMailTexts(import("./features/account/ResetPasswordPage")));
const UnsubscribePage = lazy(() => withMailTexts(import("./features/account/UnsubscribePage")));
const GuestPage = lazy(() => withMailTexts(import("./features/account/GuestPage")));
const ConfirmAddressPage = lazy(() => withMailTexts(import("./features/account/ConfirmAddressPage")));

async function withMailTexts<T>(loading: Promise<T>): Promise<T> {
  const [page, { ready }] = await Promise.all([loading, import("./features/account/mailTexts")]);
  await ready;
  return page;
}

function loadSignInPage() {
  return import("./features/account/SignInPage");
}

function loadOrderPage() {
  return import("./features/orders/OrderPage");
}

/** Its texts are its own, too: most buyers have an account. */
const FindOrderPage = lazy(async () => {
  const [page, { ready }] = await Promise.all([
    import("./features/account/FindOrderPage"),
    import("./features/account/findOrderTexts"),
  ]);
  await ready;
  return page;
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

function ShopRoutes() {
  useNextPagesLoadedEarly();
  return (
    <Layout>
      <Suspense fallback={<PageSkeleton />}>
        <Switch>
          <Route path="/" component={SalesPage} />
          <Route path="/s/:slug">{({ slug }) => <SalePage key={slug} slug={slug} />}</Route>
          <Route path="/orders" component={OrdersPage} />
          <Route path="/orders/find" component={FindOrderPage} />
          <Route path="/orders/:id">{({ id }) => <OrderPage key={id} id={id} />}</Route>
          <Route path="/account" component={AccountPage} />
          <Route path="/sign-in" component={SignInPage} />
          <Route path="/register" component={RegisterPage} />
          <Route path="/forgot-password" component={ForgotPasswordPage} />
          <Route path="/reset-password" component={ResetPasswordPage} />
          <Route path="/confirm-address" component={ConfirmAddressPage} />
          <Route path="/guest" component={GuestPage} />
          <Route path="/unsubscribe" component={UnsubscribePage} />
          <Route>
            <NotFound />
          </Route>
        </Switch>
      </Suspense>
    </Layout>
  );
}

/** The pages that buying leads to, which nobody should wait for then. A failure is tried again when the page is opened. */
function useNextPagesLoadedEarly(): void {
  useEffect(() => {
    const timer = setTimeout(() => {
      for (const load of [loadOrderPage, loadSignInPage]) load().catch(() => {});
    }, 1000);
    return () => clearTimeout(timer);
  }, []);
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
