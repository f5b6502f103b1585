//! The bounds of what callers send, one a line. Validation uses the same constants, and the OpenAPI description takes its bounds from
//! here, so that neither can promise what the other refuses. It never validates.

use crate::shop::catalogue_text::{
    CATEGORY_LEN_MAX, DESCRIPTION_LEN_MAX, IMAGE_URL_LEN_MAX, NAME_LEN_MAX, WEBHOOK_DESCRIPTION_LEN_MAX,
};
use crate::shop::idempotency_keys::KEY_LEN_MAX;
use crate::shop::webhooks::URL_LEN_MAX;
use sale::policy::{LIMIT_PER_BUYER_MAX, QUANTITY_MAX, UNIT_PRICE_MINOR_MAX, WINDOW_S_MAX};
use utoipa::Number;
use utoipa::openapi::schema::{Object, Schema};
use utoipa::openapi::{OpenApi, RefOr};

/// Items in a page.
pub const LIMIT_MAX: u32 = 200;
/// Items in a page when the caller does not say.
pub const LIMIT_DEFAULT: u32 = 50;
/// Characters of a cursor: far more than any list's key needs.
pub const CURSOR_LEN_MAX: usize = 512;
/// Characters of a search, as many as the longest e-mail address has.
pub const SEARCH_LEN_MAX: usize = 254;
/// Bytes of a payment method; the tokens of providers are far shorter.
pub const METHOD_LEN_MAX: usize = 255;

/// What a value may be.
#[derive(Clone, Copy, Debug)]
enum ValueBound {
    /// A whole number.
    Number(i64, i64),
    /// Characters of a text.
    Text(usize, usize),
}

/// Parameters, wherever they are.
#[rustfmt::skip]
const PARAMETERS: &[(&str, ValueBound)] = &[
    ("limit", ValueBound::Number(1, LIMIT_MAX as i64)),
    ("cursor", ValueBound::Text(1, CURSOR_LEN_MAX)),
    ("q", ValueBound::Text(0, SEARCH_LEN_MAX)),
    ("Idempotency-Key", ValueBound::Text(1, KEY_LEN_MAX)),
];

/// Fields of bodies, by the names of schema and field.
#[rustfmt::skip]
const FIELDS: &[(&str, &str, ValueBound)] = &[
    ("NewProduct", "name", ValueBound::Text(1, NAME_LEN_MAX)),
    ("NewProduct", "description", ValueBound::Text(0, DESCRIPTION_LEN_MAX)),
    ("NewProduct", "category", ValueBound::Text(1, CATEGORY_LEN_MAX)),
    ("NewProduct", "imageUrl", ValueBound::Text(1, IMAGE_URL_LEN_MAX)),
    ("ProductEdit", "name", ValueBound::Text(1, NAME_LEN_MAX)),
    ("ProductEdit", "description", ValueBound::Text(0, DESCRIPTION_LEN_MAX)),
    ("ProductEdit", "category", ValueBound::Text(1, CATEGORY_LEN_MAX)),
    ("ProductEdit", "imageUrl", ValueBound::Text(1, IMAGE_URL_LEN_MAX)),
    ("ShownEdit", "name", ValueBound::Text(1, NAME_LEN_MAX)),
    ("ShownEdit", "description", ValueBound::Text(0, DESCRIPTION_LEN_MAX)),
    ("ShownEdit", "category", ValueBound::Text(1, CATEGORY_LEN_MAX)),
    ("ShownEdit", "imageUrl", ValueBound::Text(1, IMAGE_URL_LEN_MAX)),
    ("Price", "amount", ValueBound::Number(0, UNIT_PRICE_MINOR_MAX)),
    ("NewSale", "quantity", ValueBound::Number(1, QUANTITY_MAX as i64)),
    ("NewSale", "limitPerBuyer", ValueBound::Number(1, LIMIT_PER_BUYER_MAX as i64)),
    ("NewSale", "holdSeconds", ValueBound::Number(0, WINDOW_S_MAX as i64)),
    ("SaleEdit", "quantity", ValueBound::Number(1, QUANTITY_MAX as i64)),
    ("SaleEdit", "limitPerBuyer", ValueBound::Number(1, LIMIT_PER_BUYER_MAX as i64)),
    ("SaleEdit", "holdSeconds", ValueBound::Number(0, WINDOW_S_MAX as i64)),
    ("NewOrder", "quantity", ValueBound::Number(1, u32::MAX as i64)),
    ("NewWebhook", "url", ValueBound::Text(1, URL_LEN_MAX)),
    ("NewWebhook", "description", ValueBound::Text(0, WEBHOOK_DESCRIPTION_LEN_MAX)),
    ("WebhookEdit", "url", ValueBound::Text(1, URL_LEN_MAX)),
    ("WebhookEdit", "description", ValueBound::Text(0, WEBHOOK_DESCRIPTION_LEN_MAX)),
    ("PayBody", "method", ValueBound::Text(0, METHOD_LEN_MAX)),
];

/// Writes the bounds into the description.
pub fn describe_bounds(openapi: &mut OpenApi) {
    for item in openapi.paths.paths.values_mut() {
        for (_, described) in super::operations::list_operations(item) {
            for parameter in described.parameters.iter_mut().flatten() {
                let RefOr::T(parameter) = parameter else { continue };
                let bound = PARAMETERS.iter().find(|(name, _)| *name == parameter.name);
                if let (Some((name, bound)), Some(RefOr::T(Schema::Object(schema)))) =
                    (bound, &mut parameter.schema)
                {
                    bound.write(schema);
                    if *name == "limit" {
                        schema.default = Some(LIMIT_DEFAULT.into());
                    }
                }
            }
        }
    }
    let Some(components) = &mut openapi.components else { return };
    for (schema, field, bound) in FIELDS {
        if let Some(RefOr::T(Schema::Object(schema))) = components.schemas.get_mut(*schema)
            && let Some(RefOr::T(Schema::Object(field))) = schema.properties.get_mut(*field)
        {
            bound.write(field);
        }
    }
}

impl ValueBound {
    fn write(self, schema: &mut Object) {
        match self {
            Self::Number(min, max) => {
                schema.minimum = isize::try_from(min).ok().map(Number::Int);
                schema.maximum = isize::try_from(max).ok().map(Number::Int);
            }
            Self::Text(min, max) => {
                schema.min_length = Some(min);
                schema.max_length = Some(max);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_is_one_of_a_field_that_exists() {
        let openapi = crate::http::openapi();
        let schemas = openapi.components.unwrap().schemas;
        for (name, field, bound) in FIELDS {
            let Some(RefOr::T(Schema::Object(schema))) = schemas.get(*name) else {
                panic!("no schema {name}")
            };
            let Some(RefOr::T(Schema::Object(found))) = schema.properties.get(*field) else {
                panic!("no field {name}.{field}")
            };
            match *bound {
                ValueBound::Number(..) => assert!(found.maximum.is_some(), "{name}.{field}"),
                ValueBound::Text(..) => assert!(found.max_length.is_some(), "{name}.{field}"),
            }
        }
    }
}
