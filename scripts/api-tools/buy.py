"""A purchase through the client that was generated for Python: `buy.py SHOP SLUG`, with the folder of the client in PYTHONPATH."""

import sys

from shop_client import AuthenticatedClient, Client
from shop_client.api.auth import register_account
from shop_client.api.flash_sales import get_flash_sale
from shop_client.api.orders import create_order, pay_order
from shop_client.models import NewOrder, OrderStatus, PayBody, Problem, RegisterBody

shop, slug = sys.argv[1:]
account = register_account.sync(
    client=Client(base_url=shop),
    body=RegisterBody(email="snake@example.com", username="snake", password="correct horse battery"),
)
buyer = AuthenticatedClient(base_url=shop, token=account.access_token)
sale = get_flash_sale.sync(slug, client=buyer)
order = create_order.sync(
    client=buyer, body=NewOrder(flash_sale_id=sale.id, quantity=1), idempotency_key="snake-1"
)
paid = pay_order.sync(order.id, client=buyer, body=PayBody(method="sandbox:approve"))
assert paid.status == OrderStatus.CONFIRMED and paid.product.name == sale.product.name, paid

refused = create_order.sync(client=buyer, body=NewOrder(flash_sale_id=sale.id, quantity=2))
assert isinstance(refused, Problem) and refused.code == "limit_reached", refused
print(f"Python: {paid.product.name} for {paid.total.amount} {paid.total.currency}")
