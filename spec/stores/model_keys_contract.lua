-- What every model store must do with keys that are integers.

local assert = require "luassert"
local busted = require "busted"
local kit = require "spec.stores.model_kit"

-- busted gives its words to spec files only.
local describe, it = busted.describe, busted.it

local least, most = tostring(math.mininteger), tostring(math.maxinteger)

local function fails(code, pattern, ok, message, actual)
  assert.is_nil(ok)
  assert.equal(code, actual, message)
  assert.truthy(message:find(pattern, 1, true), message)
end

local function keyed(changes)
  local given = { key = "integer", fields = { n = "integer", t = "text" } }
  for key, value in pairs(changes or {}) do
    given[key] = value
  end
  return kit.schema(given)
end

-- Models with these ids, n counted up in the order given.
local function own_models(open, ids, changes)
  local owner = kit.own(open(), keyed(changes))
  local models = {}
  for n, id in ipairs(ids) do
    models[id] = { n = n }
  end
  owner:commit(models)
  return owner
end

local numbers = { "10", "9", "0", "-1", "-10", "100", most, least,
  "9007199254740993", "9007199254740992" }
local in_order = table.concat({ least, "-10", "-1", "0", "9", "10", "100",
  "9007199254740992", "9007199254740993", most }, " ")

local function models(open)
  it("are loaded, replaced and deleted by their decimal text", function()
    local owner = own_models(open, numbers)
    local loaded = owner:load(table.unpack(numbers))
    for n, id in ipairs(numbers) do
      assert.equal(n, loaded[id].n, id)
    end
    assert.same({}, owner:load("1", "-9", "9007199254740991"))
    owner:commit { [least] = { n = 77 }, ["0"] = false, ["10"] = false,
      ["3"] = { n = 3 } }
    assert.same({ [least] = { n = 77 }, ["3"] = { n = 3 },
      [most] = { n = 7 } }, owner:load(least, "0", "10", "3", most))
  end)

  it("are many at once, new or not", function()
    local owner = kit.own(open(), keyed())
    local batch = {}
    for i = -1500, 1500 do
      batch[tostring(i * 7919)] = { n = i, t = "t" .. i }
    end
    owner:commit(batch, { all_new = true })
    batch["1"] = { n = 0 }
    owner:commit(batch, { all_new = true }) -- and but for one they are not
    for id, row in pairs(batch) do
      batch[id] = row.n % 3 ~= 0 and { n = row.n + 1 }
    end
    batch["1"] = { n = 1 }
    owner:commit(batch)
    local ids = {}
    for id in pairs(batch) do
      ids[#ids + 1] = id
    end
    local loaded = owner:load(table.unpack(ids))
    for id, row in pairs(batch) do
      assert.same(row or nil, loaded[id], id)
    end
    assert.equal("-11870581", owner:ids("limit=1"))
  end)

  it("that are said to be new and are not are replaced", function()
    local owner = own_models(open, { "5", "6" })
    owner:commit({ ["6"] = { n = 60 }, ["7"] = { n = 70 } },
      { all_new = true })
    assert.same({ ["5"] = { n = 1 }, ["6"] = { n = 60 }, ["7"] = { n = 70 } },
      owner:load("5", "6", "7"))
  end)

  it("may be all that a model is", function()
    local owner = kit.own(open(), keyed { fields = {} })
    owner:commit({ ["3"] = {}, ["20"] = {}, ["4"] = {} }, { all_new = true })
    owner:commit { ["3"] = {}, ["4"] = false, ["1"] = {} }
    assert.same({ ["3"] = {}, ["20"] = {} }, owner:load("3", "20", "4"))
    assert.equal("1 3 20", owner:ids())
    assert.same({ { 20 } }, owner:query "id=gt.3")
    local texts = kit.own(open(), keyed { key = "text", fields = {} })
    texts:commit { b = {}, a = {} }
    assert.equal("a b", texts:ids())
    local many = {}
    for i = 1, 1000 do
      many["a" .. i] = {}
    end
    for _ = 1, 2 do
      texts:commit(many)
      assert.equal(1002, #texts:query("select=id", "limit=2000"))
    end
  end)
end

local function queries(open)
  it("come as numbers, and in their order", function()
    local owner = own_models(open, numbers)
    assert.equal(in_order, owner:ids())
    for _, row in ipairs(owner:query()) do
      assert.equal("integer", math.type(row[1]))
    end
    assert.same({ { 9, 2 }, { 10, 1 } },
      owner:query("select=id,n", "id=in.(10,9)"))
  end)

  it("are compared as numbers", function()
    local owner = own_models(open, numbers)
    local function finds(expected, ...)
      assert.equal(expected, owner:ids(...), ...)
    end
    finds("9007199254740993", "id=eq.9007199254740993")
    finds("9007199254740993 " .. most, "id=gt.9007199254740992")
    finds(least .. " -10", "id=lt.-1")
    finds("9 10 100", "id=gte.9", "id=lte.100")
    finds(least .. " 0 " .. most,
      "id=in.(0," .. least .. "," .. most .. ",5)")
    finds("0 9", "or=(id.eq.0,and(id.gt.0,id.lt.10))")
    finds("-1 0", "id=gte.-1", "id=not.gt.5")
    finds("", "id=is.null")
    finds("100 10 9", "id=gte.9", "id=lt.9007199254740992", "order=id.desc")
    finds("0 9", "order=id", "offset=3", "limit=2")
  end)

  it("decide between equal models by number", function()
    local owner = kit.own(open(), keyed())
    owner:commit { ["9"] = { n = 1 }, ["10"] = { n = 1 }, ["-3"] = { n = 1 },
      ["7"] = { n = 2 } }
    assert.equal("7 -3 9 10", owner:ids "order=n.desc")
    assert.equal("-3 9 10 7", owner:ids "order=n")
  end)

  it("take no pattern and no text", function()
    local owner = own_models(open, { "1" })
    fails("invalid", "like and ilike are for texts; id is of type integer",
      owner.store:query(owner.schema, "id=like.1*"))
    fails("invalid", 'id takes a whole number of at most 64 bits, '
      .. 'such as 1000, not "a"',
      owner.store:query(owner.schema, "id=eq.a"))
  end)
end

local function refusals(open)
  it("are refused in any other form", function()
    local owner = own_models(open, { "1" })
    for _, id in ipairs { "a", "01", "1.0", "-0", "9223372036854775808" } do
      local why = 'model id "' .. id .. '": the ids of account_summary are '
        .. "integers"
      fails("invalid", why, owner.store:load(owner.schema, { "1", id }))
      fails("invalid", why, owner:try_commit { [id] = { n = 1 } })
      fails("invalid", why,
        owner:try_commit({}, { parked = { kit.aside(1, id) } }))
    end
    assert.equal("1", owner:ids())
  end)

  it("are another schema than keys that are text", function()
    local owner = own_models(open, { "1" })
    fails("config", 'key integer is now key text; raise the version',
      owner.store:define(keyed { key = "text" }, owner.fence))
    local texts = own_models(open, { "1" }, { key = "text" })
    fails("config", 'key text is now key integer; raise the version',
      texts.store:define(keyed(), texts.fence))
    fails("config", 'key text is now key integer',
      texts.store:query(keyed(), "id=gt.0"))
    assert(texts.store:reset(keyed { version = 2 }, texts.revision,
      texts.fence))
    texts.schema = keyed { version = 2 }
    texts.revision = texts:checkpoint().revision
    texts:commit { ["10"] = {}, ["9"] = {} }
    assert.equal("9 10", texts:ids())
  end)
end

local function parked(open)
  it("have events set aside by their decimal text", function()
    local owner = own_models(open, { "9" })
    owner:commit({}, { parked = { kit.aside(1, "10"), kit.aside(2, least),
      kit.aside(3, "10") } })
    local ids = assert(owner.store:parked_ids "account_summary")
    table.sort(ids)
    assert.same({ least, "10" }, ids)
    local found = assert(owner.store:parked("account_summary", "10"))
    assert.same({ "10", "10" }, { found[1].model_id, found[2].model_id })
    assert.same({}, assert(owner.store:parked("account_summary", "1")))
    owner:commit({ ["10"] = { n = 5 } },
      { unparked = { found[1].number, found[2].number } })
    assert.same({ least }, assert(owner.store:parked_ids "account_summary"))
  end)
end

local function order(open)
  it("is no part of the schema, and stays as it was built", function()
    local first = { fields = { a = "text", b = "text", c = "text" },
      order = { "c", "a", "b" } }
    local owner = kit.own(open(), kit.schema(first))
    owner:commit { x = { a = "A", b = "B", c = "C" } }
    for _, names in ipairs { { "b", "a", "c" }, { "c", "a", "b" }, false } do
      local other = kit.schema { fields = first.fields,
        order = names or nil }
      assert(owner.store:define(other, owner.fence))
      assert.same({ { "x", "A", "B", "C" } },
        assert(owner.store:query(other)))
      owner.schema = other
      owner:commit { x = { a = "A", b = "B", c = "C" } }
      assert.same({ x = { a = "A", b = "B", c = "C" } }, owner:load "x")
      assert.truthy(owner:checkpoint().schema:find("\norder c a b\n$"))
    end
  end)
end

return function(open)
  describe("integer keys", function()
    models(open)
    queries(open)
    refusals(open)
    parked(open)
  end)
  describe("the order of the columns", function()
    order(open)
  end)
end
