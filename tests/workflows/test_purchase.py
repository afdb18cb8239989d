"""A purchase across two currencies, as the paper tells it (section 5.1)."""

from connectionchain import State


async def test_purchase__confirmed(stack) -> None:
    client, hanako, shop = stack.client, stack.keys["hanako"], stack.keys["bookstore"]
    quote = await client.quote("A", "10 B")
    deal = await client.pay(quote, hanako, shop.address)
    async for now in client.follow(deal):
        print(now)
        if now.state is State.LOCKED:
            break
    await client.confirm(deal, shop)
    result = await client.result(deal, 60)
    assert result.state is State.SETTLED
