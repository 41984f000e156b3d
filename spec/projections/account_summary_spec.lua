local helper = require "spec.helper"
local testing = require "lunette.testing"

local path = helper.root .. "/projections/account_summary.lua"

local function opened(id, owner)
  return { type = "AccountOpened", data = { account_id = id, owner = owner } }
end

local function deposited(id, cents)
  return { type = "MoneyDeposited", data = { account_id = id, amount = cents } }
end

local function withdrawn(id, cents)
  return { type = "MoneyWithdrawn", data = { account_id = id, amount = cents } }
end

local function transferred(from, to, cents)
  return {
    type = "TransferCompleted",
    data = { from_account = from, to_account = to, amount = cents },
  }
end

local function replay(...)
  return testing.replay(path, { ... })
end

describe("account_summary", function()
  it("starts an account at zero", function()
    local models = replay(opened("a1", "Ada"))
    assert.same({
      a1 = {
        owner = "Ada",
        balance = 0,
        transaction_count = 0,
        last_activity = "2026-01-01T00:00:01.000000Z",
      },
    }, models)
  end)

  it("adds deposits and takes withdrawals", function()
    local models = replay(opened("a1", "Ada"), deposited("a1", 1250),
      deposited("a1", 50), withdrawn("a1", 300))
    assert.equal(1000, models.a1.balance)
    assert.equal(3, models.a1.transaction_count)
  end)

  it("moves a transfer from one account to the other", function()
    local models = replay(opened("a1", "Ada"), opened("b2", "Bob"),
      deposited("a1", 500), transferred("a1", "b2", 200))
    assert.equal(300, models.a1.balance)
    assert.equal(200, models.b2.balance)
    assert.equal(2, models.a1.transaction_count)
    assert.equal(1, models.b2.transaction_count)
    assert.equal(models.a1.last_activity, models.b2.last_activity)
  end)

  it("counts a transfer to oneself once and moves nothing", function()
    local models = replay(opened("a1", "Ada"), deposited("a1", 500),
      transferred("a1", "a1", 200))
    assert.equal(500, models.a1.balance)
    assert.equal(2, models.a1.transaction_count)
  end)

  it("goes below zero rather than lose money", function()
    local models = replay(opened("a1", "Ada"), withdrawn("a1", 5))
    assert.equal(-5, models.a1.balance)
  end)

  it("keeps cents beyond the precision of a double", function()
    local models = replay(opened("a1", "Ada"),
      deposited("a1", 9007199254740993))
    assert.equal(9007199254740993, models.a1.balance)
  end)

  it("knows an account whose opening was never recorded", function()
    local models = replay(deposited("a1", 5))
    assert.equal(5, models.a1.balance)
    assert.is_nil(models.a1.owner)
  end)

  it("passes over events of other types", function()
    local models = replay(opened("a1", "Ada"),
      { type = "AccountRenamed", data = { account_id = "a1" } })
    assert.equal("2026-01-01T00:00:01.000000Z", models.a1.last_activity)
  end)

  it("answers who is richest", function()
    local rows = testing.query(path, {
      opened("a1", "Ada"),
      opened("b2", "Bob"),
      opened("c3", "Cyd"),
      deposited("b2", 10),
      deposited("c3", 30),
    }, { "order=balance.desc", "limit=2", "select=id,owner" })
    assert.same({ { id = "c3", owner = "Cyd" }, { id = "b2", owner = "Bob" } },
      rows)
  end)
end)
