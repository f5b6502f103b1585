// The documents of the API as the pages use them: the generated schema with the fields that a server may leave out. A page works with
// both, so each field that is added here has a safe meaning when it is absent.

import type { components, paths } from "./schema";

type Schemas = components["schemas"];
type Replace<T, U> = Omit<T, keyof U> & U;

type Availability = Schemas["Availability"] | "over";
export type Product = Schemas["ProductJson"];

type SaleBase<T> = Replace<
  Omit<T, keyof PaymentTerms>,
  {
    availability: Availability;
  }
> &
  PaymentTerms;

/** What a sale tells about paying. Without it, a sale is paid. */
interface PaymentTerms {
  payment?: "required" | "none";
  /** Seconds for which a unit is held for its payment. */
  holdSeconds?: number;
  provider?: string;
}

export type Sale = SaleBase<Schemas["SaleJson"]>;
export type AdminSale = SaleBase<Schemas["AdminSaleJson"]> &
  Required<Pick<PaymentTerms, "payment" | "holdSeconds">>;

type OrderBase<T> = Omit<T, keyof OrderPayment> & OrderPayment;

interface OrderPayment {
  /** The bank has the buyer's payment and has not answered yet. The units stay held until it has. */
  paying?: boolean;
  /** False in a sale whose units are paid on collection. */
  paymentRequired?: boolean;
}

export type Order = Replace<
  OrderBase<Schemas["OrderJson"]>,
  {
    expiresAt?: string | null;
    /** The product as it was sold. */
    product?: Pick<Schemas["SoldJson"], "name" | "imageUrl"> | null;
  }
>;
export type AdminOrder = OrderBase<Schemas["AdminOrderJson"]>;

/** `waiting` and `admitted` are places in the line; the other states say how a place has ended. */
type PlaceStatus = Schemas["PlaceStatus"] | "over" | "lapsed" | "left";
type OverReason = "ended" | "closed" | "deleted";

export type Place = Replace<
  Schemas["PlaceJson"],
  {
    status: PlaceStatus;
    availability?: Availability;
    admittedUntil?: string | null;
    /** `null` while nobody can say when, or whether, units reach this place. */
    estimatedWaitSeconds?: number | null;
    receipt?: string | null;
    /** Units that are not sold. */
    unitsLeft?: number | null;
    /** The rest of the turn while the sale is paused; the turn then has no `admittedUntil`. */
    remainingSeconds?: number | null;
    reason?: OverReason | null;
    lapsedAt?: string | null;
    leftAt?: string | null;
  }
>;

interface JsonReply<T> {
  headers: { [name: string]: unknown };
  content: { "application/json": T };
}

/** Operations of the account that a schema may lack. */
interface AccountPaths {
  "/api/v1/auth/password": {
    post: {
      requestBody: { content: { "application/json": { currentPassword: string; newPassword: string } } };
      responses: { 200: JsonReply<Schemas["SignedInReply"]> };
    };
  };
  "/api/v1/auth/sign-out-everywhere": {
    post: { responses: { 204: { headers: { [name: string]: unknown }; content?: never } } };
  };
}

export type ApiPaths = paths & Omit<AccountPaths, keyof paths>;
