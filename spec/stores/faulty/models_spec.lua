local helper = require "spec.helper"
local contract = require "spec.stores.model_store_contract"
local kit = require "spec.stores.model_kit"
local postgres = require "spec.postgres_server"

local places = {}

function places.sqlite()
  return "sqlite:" .. helper.tmpdir() .. "/models.db"
end

local database
local schemas = 0

function places.postgres()
  collectgarbage()
  database = database or assert(postgres.start()):new_database()
  schemas = schemas + 1
  return database:with("schema=f" .. schemas)
end

local function fails(code, pattern, ok, message, actual)
  assert.is_nil(ok)
  assert.equal(code, actual, message)
  assert.matches(pattern, message)
end

describe("the faulty model store", function()
  contract(function()
    return assert(kit.open "faulty+memory:")
  end)

  it("fails the n-th call of a kind, once", function()
    local store = assert(kit.open "faulty+memory:?fail=commit:2")
    local owner = kit.own(store, kit.account_schema())
    owner:commit { a = { balance = 1 } }
    fails("io", "commit failed, as it was told to",
      owner:try_commit { a = { balance = 2 } })
    assert.equal(1, owner:load("a").a.balance)
    owner:commit { a = { balance = 3 } }
    assert.equal(3, owner:load("a").a.balance)
  end)

  it("counts over all connections", function()
    local store = assert(kit.open "faulty+memory:?fail=load:2&code=unavailable")
    local owner = kit.own(store, kit.account_schema())
    local other = assert(store:connect())
    owner:load "a"
    fails("unavailable", "load", other:load(owner.schema, { "a" }))
    owner:load "a"
  end)

  it("can carry a commit out and lose the answer", function()
    local store = assert(kit.open "faulty+memory:?fail=commit:1&when=after")
    local owner = kit.own(store, kit.account_schema())
    fails("io", "commit", owner:try_commit { a = { balance = 1 } })
    assert.equal(1, owner:load("a").a.balance)
    fails("conflict", "revision", owner:try_commit { a = { balance = 2 } })
  end)

  it("knows every method", function()
    for _, kind in ipairs { "acquire", "renew", "define", "reset", "drop",
      "checkpoint", "set_position", "set_paused", "list", "load", "query",
      "commit", "parked", "parked_ids", "skipped", "request_post",
      "requests_waiting", "request_next", "request_finish", "request_result",
      "publish", "heartbeat", "connect", "open", "any" } do
      local store, message = kit.open("faulty+memory:?fail=" .. kind .. ":1")
      assert.equal(kind ~= "open" and kind ~= "any", store ~= nil, message)
    end
    fails("config", "fail=brush:1 means nothing",
      kit.open "faulty+memory:?fail=brush:1")
  end)
end)

--[[
Fault sweep. A small engine applies the events 1, 2, 3 ... to models: event n
adds n to model n % 3, and parks itself where n % 7 == 0. After any failure it
gives up all it holds, opens the store again and goes on from the checkpoint.
Whatever call failed, the models must be those of a run without failures.
]]
local function behind(new_url)
  local LAST = 40
  local BATCH = 4

  local function step(owner)
    local first = owner:checkpoint().position + 1
    local last = math.min(first + BATCH - 1, LAST)
    local loaded, message = owner.store:load(owner.schema, { "0", "1", "2" })
    if not loaded then
      return nil, message
    end
    local models, parked = {}, {}
    for n = first, last do
      local id = tostring(n % 3)
      if n % 7 == 0 then
        parked[#parked + 1] = kit.aside(n, id)
      else
        local row = models[id] or loaded[id] or { balance = 0 }
        row.balance = row.balance + n
        models[id] = row
      end
    end
    return owner:try_commit(models, { position = last, parked = parked })
  end

  local function run(store)
    local schema = kit.account_schema { indexes = { { "balance" } } }
    local ok, result = pcall(function()
      local owner = kit.own(store, schema)
      while owner:checkpoint().position < LAST do
        assert(step(owner))
        owner.revision = owner.revision + 1
      end
      return owner
    end)
    return ok and result
  end

  local function check(url, context)
    local store = assert(kit.open(url))
    local owner = assert(run(store), context)
    local expected = { ["0"] = { balance = 0 }, ["1"] = { balance = 0 },
      ["2"] = { balance = 0 } }
    local parked = {}
    for n = 1, LAST do
      if n % 7 == 0 then
        parked[#parked + 1] = n
      else
        local row = expected[tostring(n % 3)]
        row.balance = row.balance + n
      end
    end
    assert.same(expected, owner:load("0", "1", "2"), context)
    local found = {}
    for i, item in ipairs(store:parked "account_summary") do
      found[i] = item.position
    end
    assert.same(parked, found, context)
    assert.equal(LAST, owner:checkpoint().position, context)
    store:close()
  end

  -- n = 1, 2, 3 ... until a run passes untouched.
  local function sweep(terms)
    local n = 0
    repeat
      n = n + 1
      local url = new_url()
      local failing = "faulty+" .. url .. "?fail=any:" .. n .. terms
      local store = kit.open(failing)
      local done = store and run(store)
      if store then
        store:close()
      end
      check(url, failing)
    until done
    assert.is_true(n > 20)
  end

  it("are right after a call that was not made", function()
    sweep ""
  end)

  it("are right after a commit whose answer was lost", function()
    sweep "&when=after"
  end)
end

for kind, new_url in pairs(places) do
  describe("models behind a failing " .. kind .. " store #" .. kind, function()
    local missing = kind == "postgres" and select(2, postgres.start())
    if missing then
      pending(missing)
      return
    end

    behind(new_url)
  end)
end
