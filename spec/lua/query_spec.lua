local lunette = require "lunette"

local script = [[
return {
  name = "account",
  version = 1,
  fields = { owner = "text", balance = "integer", tags = "json" },
  extract_model_id = function(event) return event.data.id end,
  apply_to_model = function(_, event)
    return {
      owner = event.data.owner,
      balance = event.data.balance,
      tags = event.data.tags,
    }
  end,
}
]]

local accounts = {
  { id = "a", owner = "Ada", balance = 500, tags = { city = "London" } },
  { id = "b", owner = "Grace, the second", balance = 1500 },
  { id = "c", owner = 'Alan "T"', balance = 3000 },
  { id = "d", balance = -1 },
}

describe("a query built step by step", function()
  local engine

  setup(function()
    engine = assert(lunette.open { events = "memory:", models = "memory:" })
    assert(engine:register { source = script })
    for _, account in ipairs(accounts) do
      assert(engine:append { stream = "s", type = "T", data = account })
    end
    assert(engine:run_once())
  end)

  teardown(function()
    engine:close()
  end)

  local function ids(...)
    local list = {}
    for i, row in ipairs(assert(engine:query(...))) do
      list[i] = row.id
    end
    return table.concat(list, " ")
  end

  local function query()
    return lunette.query "account"
  end

  it("asks the projection it was made for", function()
    assert.equal("a b c d", ids(query()))
    assert.equal("a b c d", ids("account", query()))
    assert.equal("a b c d", ids("account", lunette.query()))
  end)

  it("filters, orders and limits", function()
    assert.equal("c b", ids(query():filter("balance", "gte", 1000)
      :order_by("balance", "desc")))
    assert.equal("b", ids(query():filter("balance", "gte", 0)
      :order_by("balance", "desc"):limit(1):offset(1)))
    assert.equal("d", ids(query():filter("owner", "is", lunette.null)))
  end)

  it("takes values with any character in them", function()
    assert.equal("b", ids(query():filter("owner", "eq", "Grace, the second")))
    assert.equal("c", ids(query():filter("owner", "eq", 'Alan "T"')))
    assert.equal("b c", ids(query():filter("owner", "in",
      { "Grace, the second", 'Alan "T"' })))
  end)

  it("joins conditions by or", function()
    assert.equal("c d", ids(query():any {
      { "balance", "lt", 0 }, { "balance", "gt", 2000 },
    }))
  end)

  it("reaches into json fields", function()
    assert.equal("a", ids(query():filter("tags->city", "eq", "London")))
  end)

  it("answers with the selected columns only", function()
    assert.same({ { id = "a", balance = 500 } }, engine:query(
      query():filter("id", "eq", "a"):select("id", "balance")))
  end)

  it("asks the same as its terms", function()
    local built = query():filter("balance", "gte", 1000):limit(5)
    assert.same(engine:query(built), engine:query("account", built:terms()))
    assert.same(engine:query(built),
      engine:query("account", { "balance=gte.1000", "limit=5" }))
  end)

  it("gives an empty list when nothing is found", function()
    assert.same({}, engine:query(query():filter("balance", "gt", 1e6)))
  end)

  it("is checked against the declared fields", function()
    local rows, message, code =
      engine:query(query():filter("balanse", "gt", 1))
    assert.is_nil(rows)
    assert.matches("balanse", message)
    assert.equal("invalid", code)

    rows, message, code = engine:query(query():filter("balance", "gt", "much"))
    assert.is_nil(rows)
    assert.matches("much", message)
    assert.equal("invalid", code)
  end)

  it("knows no projection of another name", function()
    local rows, _, code = engine:query(lunette.query "nobody")
    assert.is_nil(rows)
    assert.equal("not_found", code)
  end)

  it("raises at the caller's line when it is misused", function()
    local function misuse(f, ...)
      local ok, message = pcall(f, ...)
      assert.is_false(ok)
      return message
    end
    local here = "query_spec%.lua:%d+: "
    assert.matches(here .. "a query of account cannot be asked of other",
      misuse(function()
        engine:query("other", query())
      end))
    assert.matches(here .. "the query does not say of what",
      misuse(function()
        engine:query(lunette.query())
      end))
    assert.matches(here .. "a query takes no terms beside it",
      misuse(function()
        engine:query(query(), { "limit=1" })
      end))
    assert.matches(here .. "expected a plain list, without a metatable, of",
      misuse(function()
        engine:query("account", setmetatable({}, { __index = { "limit=1" } }))
      end))
    assert.matches(here .. "term 2 must be a string, got table",
      misuse(function()
        engine:query("account", { "limit=1", {} })
      end))
    assert.matches(here .. '"about" is no operator', misuse(function()
      query():filter("balance", "about", 5)
    end))
    assert.matches("table expected", misuse(function()
      engine:query("account", "limit=1")
    end))
  end)
end)

-- The builder in a script is the same one.
describe("a query built inside handle_query", function()
  it("finds the same models", function()
    local engine <close> = assert(lunette.open {
      events = "memory:",
      models = "memory:",
    })
    assert(engine:register { source = (script:gsub("\n}\n$", [[

  handle_query = function(store, query)
    return store:query(lunette.query("account")
      :filter("balance", "gte", 1000):order_by("balance", "desc"))
  end,
}]])) })
    for _, account in ipairs(accounts) do
      assert(engine:append { stream = "s", type = "T", data = account })
    end
    assert(engine:run_once())
    local rows = assert(engine:query "account")
    assert.equal(2, #rows)
    assert.equal("c", rows[1].id)
  end)
end)
