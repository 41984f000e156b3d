local script_test = require "script_test"

local function terms(build)
  return build(script_test.query()):terms()
end

local function refused(build)
  local ok, message = pcall(terms, build)
  assert.is_false(ok)
  return message:match "^[^ ]*:%d+: (.*)$" or message
end

describe("the query builder", function()
  it("writes the terms of a query", function()
    local query = script_test.query "account_summary"
      :filter("balance", "gte", 1000)
      :filter("owner", "like", "A*")
      :order_by("balance", "desc")
      :order_by "id"
      :limit(10)
      :offset(20)
      :select("id", "balance")
    assert.equal("account_summary", query.projection)
    assert.same({
      "balance=gte.1000",
      'owner=like."A*"',
      "order=balance.desc,id",
      "limit=10",
      "offset=20",
      "select=id,balance",
    }, query:terms())
    assert.equal('balance=gte.1000&owner=like."A*"&order=balance.desc,id'
      .. "&limit=10&offset=20&select=id,balance", tostring(query))
  end)

  it("writes each kind of value", function()
    assert.same({
      "a=eq.-5",
      "a=neq.0.1",
      "a=lt.1e+300",
      "a=gt.true",
      'a=eq."x"',
      'a=eq."say \\"hi\\" \\\\ (a,b)"',
      'a=in.(1,"x,y",2.5)',
      "a=not.in.()",
      "a=is.null",
      "a=is.null",
      "a=is.true",
      "a=not.is.null",
      "a=is.not_null",
    }, terms(function(q)
      return q:filter("a", "eq", -5)
        :filter("a", "neq", 0.1)
        :filter("a", "lt", 1e300)
        :filter("a", "gt", true)
        :filter("a", "eq", "x")
        :filter("a", "eq", 'say "hi" \\ (a,b)')
        :filter("a", "in", { 1, "x,y", 2.5 })
        :filter("a", "not.in", {})
        :filter("a", "is", script_test.null)
        :filter("a", "is", nil)
        :filter("a", "is", true)
        :filter("a", "not.is", "null")
        :filter("a", "is", "not_null")
    end))
  end)

  it("writes groups, also inside groups", function()
    assert.same({
      'or=(a.eq.1,b.like."x,*",and(c.gt.2,d.is.null))',
      "and=(a.eq.1,or(b.eq.2,b.eq.3))",
    }, terms(function(q)
      return q:any {
        { "a", "eq", 1 },
        { "b", "like", "x,*" },
        { all = { { "c", "gt", 2 }, { "d", "is" } } },
      }:all {
        { "a", "eq", 1 },
        { any = { { "b", "eq", 2 }, { "b", "eq", 3 } } },
      }
    end))
  end)

  it("replaces limits and adds orders", function()
    assert.same({ "limit=5", "order=a,b.desc" }, terms(function(q)
      return q:limit(1):order_by("a", "asc"):limit(5):order_by("b", "desc")
    end))
  end)

  it("leaves paths alone and quotes odd names", function()
    assert.same({
      "address->city=eq.1",
      '"x=eq.1,or=(y"=eq."z"',
    }, terms(function(q)
      return q:filter("address->city", "eq", 1)
        :filter("x=eq.1,or=(y", "eq", "z")
    end))
  end)

  it("says what it cannot write", function()
    assert.matches('"equals" is no operator: there are eq, neq,',
      refused(function(q) return q:filter("a", "equals", 1) end))
    assert.matches("nothing is equal to null: ask with filter",
      refused(function(q) return q:filter("a", "eq", nil) end))
    assert.matches("a query cannot compare with a table",
      refused(function(q) return q:filter("a", "eq", {}) end))
    assert.matches("a query cannot compare with nan",
      refused(function(q) return q:filter("a", "eq", 0 / 0) end))
    assert.matches('"in" needs a list of values, got number',
      refused(function(q) return q:filter("a", "in", 5) end))
    assert.matches("a query needs the name of a field, got number",
      refused(function(q) return q:filter(5, "eq", 5) end))
    assert.matches("a group needs at least one condition",
      refused(function(q) return q:any {} end))
    assert.matches("a group holds conditions such as",
      refused(function(q) return q:any { "a" } end))
    assert.matches("must not be negative",
      refused(function(q) return q:limit(-1) end))
    assert.matches("invalid option 'down'",
      refused(function(q) return q:order_by("a", "down") end))
    assert.matches("call its methods with", refused(function(q)
      return q.limit {}
    end))
    assert.matches("a member of a group is { field, operator, value }",
      refused(function(q) return q:any { { "a", "eq", 1, "b" } } end))
    assert.matches("a member of a group is", refused(function(q)
      local one = { { "a", "eq", 1 } }
      return q:any { { any = one, all = one } }
    end))
    assert.matches('no field "limit" to set: call its methods',
      refused(function(q) q.limit = 1 return q end))
    local nested = { "a", "eq", 1 }
    for _ = 1, 20 do
      nested = { any = { nested } }
    end
    assert.matches("nested at most 10 deep",
      refused(function(q) return q:any { nested } end))
  end)
end)

local source = [[return {
  name = "p", version = 1,
  fields = { balance = "integer", owner = "text", since = "timestamp",
    tags = "json" },
  extract_model_id = function(event) return event.data.id end,
  apply_to_model = function(model, event)
    return { balance = event.data.balance, owner = event.data.owner,
      since = event.recorded_at, tags = event.data.tags }
  end,
  %s
}]]

local events = {
  { data = '{"id":"a","balance":10,"owner":"Ada","tags":{"x":"5"}}' },
  { data = '{"id":"b","balance":20,"owner":"Bob","tags":{"x":5}}' },
  { data = '{"id":"c","balance":30,"owner":"Cy (Jr), \\"x\\"","tags":[]}' },
}

local function answering(handler)
  local script, err = script_test.load(source:format(
    handler and "handle_query = " .. handler or ""))
  assert(script, err and err.message)
  assert.same({}, script:run(events))
  return script
end

local rest = '"since":"1970-01-01T00:00:00.000000Z","tags":'
local function row(id, balance, owner, tags)
  return ('{"id":"%s","balance":%d,"owner":"%s",%s%s}')
    :format(id, balance, owner, rest, tags)
end
local b = row("b", 20, "Bob", '{"x":5}')
local c = row("c", 30, 'Cy (Jr), \\"x\\"', "[]")

-- The same from a handler, whose tables have their keys sorted.
local function sorted(id, balance, owner, tags)
  return ('{"balance":%d,"id":"%s","owner":"%s",%s%s}')
    :format(balance, id, owner, rest, tags)
end

describe("a query", function()
  it("is answered as it stands without handle_query", function()
    local script = answering()
    assert.equal("[" .. b .. "," .. c .. "]",
      script:query { "balance=gte.20", "order=balance" })
    assert.equal('[{"id":"a"}]',
      script:query { "select=id", 'owner=eq.Ada' })
    local answer, err = script:query { "nothing=eq.1" }
    assert.is_nil(answer)
    assert.equal("invalid", err.code)
  end)

  it("means what its builder says", function()
    local function ask(build)
      return (assert(answering():query(build(script_test.query()
        :order_by "id" :select "id"):terms())))
    end
    assert.equal('[{"id":"c"}]', ask(function(q)
      return q:filter("owner", "eq", 'Cy (Jr), "x"')
    end))
    assert.equal('[{"id":"a"},{"id":"c"}]', ask(function(q)
      return q:any {
        { "owner", "eq", "Ada" },
        { all = { { "owner", "like", "Cy (*" }, { "balance", "gt", 5 } } },
      }
    end))
    assert.equal('[{"id":"a"},{"id":"b"}]', ask(function(q)
      return q:filter("owner", "in", { "Ada", "Bob", "x,y" })
    end))
    assert.equal('[{"id":"a"}]', ask(function(q)
      return q:filter("tags->x", "eq", "5")
    end))
    assert.equal('[{"id":"b"}]', ask(function(q)
      return q:filter("tags->x", "eq", 5)
    end))
  end)
end)

describe("handle_query", function()
  it("is handed the request as a query", function()
    local script = answering
      "function(store, query) return store:query(query:limit(1)) end"
    assert.equal("[" .. sorted("b", 20, "Bob", '{"x":5}') .. "]",
      script:query { "balance=gte.20", "order=balance", "limit=10" })
    assert.equal("[" .. sorted("a", 10, "Ada", '{"x":"5"}') .. "]",
      script:query())
  end)

  it("finds the raw terms in params", function()
    local script = answering [[function(store, query)
      return { query.params } end]]
    assert.equal('[{"a":["1","2","3=4"],"flag":"","min":"5"}]',
      script:query { "min=5", "a=1", "a=2", "a=3=4", "flag" })
  end)

  it("asks the store with queries of its own", function()
    local script = answering [[function(store, query)
      local rows = store:query(lunette.query()
        :filter("balance", "gte", tonumber(query.params.min))
        :order_by("balance", "desc"))
      for _, row in ipairs(rows) do row.balance = row.balance * 2 end
      rows[#rows + 1] = store:get "a"
      assert(store:get "zz" == nil)
      return rows
    end]]
    assert.equal("[" .. sorted("c", 60, 'Cy (Jr), \\"x\\"', "[]") .. ","
      .. sorted("b", 40, "Bob", '{"x":5}') .. ","
      .. sorted("a", 10, "Ada", '{"x":"5"}') .. "]",
      script:query { "min=20" })
  end)

  it("asks of no other projection", function()
    local script = answering [[function(store, query)
      local other = lunette.query(query.params.of)
      rawset(other, "projection", query.params.raw or query.params.of)
      return store:query(other)
    end]]
    local mine = assert(script:query {})
    assert.equal(mine, script:query { "of=p" })
    for _, term in ipairs { "of=customers", "raw=customers" } do
      local _, err = script:query { term }
      assert.equal("script", err.code)
      assert.matches("answers with this projection's own models, and the "
        .. "query is of customers: build it with lunette.query()",
        err.message, 1, true)
    end
    local _, err = script:query { "of=p\0x" }
    assert.matches("own models, and the query is of p", err and err.message)
  end)

  it("takes no projection beside an id or a query", function()
    for usage, call in pairs {
      ["store:get(id)"] = 'store:get("customers", "a")',
      ["store:query(query)"] = 'store:query(query, "customers")',
    } do
      local script = answering("function(store, query) return { " .. call
        .. " } end")
      local _, err = script:query {}
      assert.equal("script", err and err.code)
      assert.matches(usage .. " takes nothing more", err.message, 1, true)
    end
  end)

  it("gets a model by the integer that is its id", function()
    local script = assert(script_test.load [[
      return { name = "p", version = 1, fields = { id = "integer", n = "text" },
        extract_model_id = function(event) return event.data.id end,
        apply_to_model = function(model, event) return { n = "x" } end,
        handle_query = function(store, query)
          local _, why = pcall(store.get, store, query.params.bad or 1)
          return { store:get(42), store:get "42", store:get(42.0),
            { math.type(store:get(42).id), store:get(43) == nil, why },
            store:query(lunette.query():filter("id", "gt", 5))[1] }
        end }]])
    assert.same({}, script:run { { data = '{"id":42}' } })
    local model = '{"id":42,"n":"x"}'
    assert.equal("[" .. (model .. ","):rep(3) .. '["integer",true,'
      .. '"a model id must be an integer, got \\"042\\""],' .. model .. "]",
      script:query { "bad=042" })
  end)

  it("may answer with nothing, or with anything that is a list", function()
    assert.equal("[]", answering "function() return {} end":query())
    assert.equal('[1,"x",{}]',
      answering "function() return { 1, 'x', {} } end":query())
  end)

  it("must answer with a list", function()
    for answer, what in pairs {
      ["5"] = "expected a list of rows, got a number",
      ["nil"] = "expected a list of rows, got a nil",
      ["lunette.null"] = "expected a list of rows, got null",
      ["{ a = 1 }"] = "expected a list of rows, got one table",
      ["{ type }"] = "[1]: a function cannot be stored",
      ["setmetatable({}, { __index = { {} } })"] =
        "expected a list of rows, got a table with a metatable",
      ["{ setmetatable({}, { __index = { a = 1 } }) }"] =
        "[1]: a table with a metatable cannot be stored",
    } do
      local _, err = answering("function() return " .. answer .. " end")
        :query()
      assert.equal("script", err.code)
      assert.equal("script.lua:10: handle_query: " .. what, err.message)
    end
  end)

  it("passes on what is wrong with a query", function()
    local script = answering
      "function(store, query) return store:query(query) end"
    local _, err = script:query { "nothing=eq.1" }
    assert.equal("invalid", err.code)
    assert.matches("nothing", err.message)
    _, err = script:query { "limit=5000" }
    assert.equal("invalid", err.code)
  end)

  it("may recover from a wrong query", function()
    local script = answering [[function(store, query)
      local ok, message = pcall(store.query, store, query)
      return { ok, message }
    end]]
    assert.matches("^%[false,", script:query { "nothing=eq.1" })
    assert.matches("^%[true,", script:query())
  end)

  it("fails like any handler", function()
    local _, err = answering "function() error 'no' end":query()
    assert.equal("script", err.code)
    assert.equal("script.lua:10: no", err.message)
    local script = answering [[function(store, query)
      if query.params.loop then while true do end end
      return store:query(query)
    end]]
    _, err = script:query { "loop=1" }
    assert.equal("budget", err.code)
    assert.equal("[" .. sorted("a", 10, "Ada", '{"x":"5"}') .. "]",
      script:query { "id=eq.a" })
  end)

  it("keeps the store to itself", function()
    local script = assert(script_test.load [[
      local kept
      return { name = "p", version = 1,
        extract_model_id = function() return "m" end,
        apply_to_model = function() return { kept = kept:get "m" } end,
        handle_query = function(store) kept = store return {} end }]])
    script:query()
    assert.matches("the store can be asked only inside handle_query",
      script:run({ {} })[1].message)
  end)

  it("leaves no half answer behind", function()
    local script = answering
      "function() return { 1, 2, { bad = type } } end"
    local answer, err = script:query()
    assert.is_nil(answer)
    assert.equal(0, err.left)
  end)
end)
