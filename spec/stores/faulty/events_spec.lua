local helper = require "spec.helper"
local event_store = require "event_store_test"
local contract = require "spec.stores.event_store_contract"

local function open(url)
  return event_store.open(url, { busy_timeout_ms = 50 })
end

local function event(stream, id)
  return { stream = stream, type = "Moved", data = "{}", id = id }
end

local function new_path()
  return helper.tmpdir() .. "/events.db"
end

local function ids_of(store)
  local ids = {}
  for i, found in ipairs(assert(store:read {})) do
    ids[i] = found.id .. "@" .. found.position .. "/" .. found.version
  end
  return ids
end

describe("a faulty event store that is told nothing", function()
  contract {
    url = function()
      return "faulty+sqlite:" .. new_path()
    end,
    options = { busy_timeout_ms = 50 },
  }
end)

describe("a faulty event store", function()
  it("fails the n-th call of a kind", function()
    local store = assert(open "faulty+memory:?fail=head:3")
    assert.equal("0", store:head())
    assert(store:read {})
    assert.equal("0", store:head())
    local head, message, code = store:head()
    assert.is_nil(head)
    assert.equal("io", code)
    assert.matches("faulty: head failed", message)
    assert.equal("0", store:head())
    store:close()
  end)

  it("fails the n-th call of any kind", function()
    local store = assert(open "faulty+memory:?fail=any:4")
    assert(store:identity())
    assert(store:read {})
    local _, message = store:lag {}
    assert.matches("lag failed", message)
    assert(store:lag {})
    store:close()
  end)

  it("counts over all connections", function()
    local store = assert(open "faulty+memory:?fail=head:2")
    local other = assert(store:connect())
    assert(store:head())
    assert.is_nil((other:head()))
    assert(store:head())
    store:close()
    other:close()
  end)

  it("fails with the code asked for, as often as asked for", function()
    local store =
      assert(open "faulty+memory:?fail=read:1&code=unavailable&times=2")
    assert.equal("unavailable", select(3, store:read {}))
    assert.equal("unavailable", select(3, store:read {}))
    assert(store:read {})
    store:close()
  end)

  for _, kind in ipairs { "open", "connect", "identity", "find", "begin" } do
    it("fails " .. kind, function()
      local store, message, code =
        open("faulty+memory:?fail=" .. kind .. ":1")
      local calls = {
        connect = function() return store:connect() end,
        identity = function() return store:identity() end,
        find = function() return store:find "x" end,
        begin = function() return store:begin() end,
      }
      if kind ~= "open" then
        store, message, code = calls[kind]()
      end
      assert.is_nil(store)
      assert.equal("io", code)
      assert.matches(kind .. " failed", message)
    end)
  end

  it("loses the answer of an append that was made", function()
    local store = assert(open "faulty+memory:?fail=append:1&when=after")
    assert.equal("io", select(3, store:append { event("a", "x") }))
    assert.same({ "x@1/1" }, ids_of(store))
    assert.is_true(assert(store:append { event("a", "x") })[1].existed)
    store:close()
  end)

  it("loses the answer of a commit that was made", function()
    local store = assert(open "faulty+memory:?fail=commit:1&when=after")
    assert(store:begin())
    assert(store:append { event("a", "x") })
    assert.equal("io", select(3, store:commit()))
    assert.same({ "x@1/1" }, ids_of(store))
    assert(store:begin())
    assert(store:commit())
    store:close()
  end)

  it("rolls back what it does not commit", function()
    local store = assert(open "faulty+memory:?fail=commit:1")
    assert(store:begin())
    assert(store:append { event("a", "x") })
    assert.equal("io", select(3, store:commit()))
    assert.equal("0", store:head())
    assert(store:append { event("a", "y") })
    assert.same({ "y@1/1" }, ids_of(store))
    store:close()
  end)

  it("takes the transaction with an append that fails", function()
    local store = assert(open "faulty+memory:?fail=append:2")
    assert(store:begin())
    assert(store:append { event("a", "x") })
    assert.equal("io", select(3, store:append { event("a", "y") }))
    assert.equal("invalid", select(3, store:commit()))
    assert.equal("0", store:head())
    store:close()
  end)

  for _, query in ipairs {
    "fail=apend:1", "fail=append", "fail=append:0", "fail=append:x",
    "fail=append:1&code=none", "fail=append:1&when=before", "what",
    "when=after&what", "times=0", "fail=" .. ("x"):rep(200) .. ":1",
  } do
    it("refuses to be told " .. query:sub(1, 40), function()
      local store, message, code = open("faulty+memory:?" .. query)
      assert.is_nil(store)
      assert.equal("config", code)
      assert.matches("^faulty: ", message)
    end)
  end

  it("needs a store to wrap", function()
    local store, _, code = open "faulty+nothing:x?fail=append:1"
    assert.is_nil(store)
    assert.equal("config", code)
    assert.equal("config", select(3, open "faulty:x"))
  end)
end)

-- An importer that appends, and appends again from the start when it failed.
-- For every n the n-th call fails; afterwards nothing is lost or doubled.
describe("appending with a failure at every call", function()
  local function import(store, plain)
    for i = 1, 3 do
      local one, two = event("a", "a" .. i), event("b", "b" .. i)
      if plain then
        if not store:append { one, two } then
          return false
        end
      else
        local done = store:begin() and store:append { one }
          and store:append { two } and store:commit()
        if not done then
          store:rollback()
          return false
        end
      end
    end
    return true
  end

  local expected = {}
  for i = 1, 3 do
    expected[2 * i - 1] = ("a%d@%d/%d"):format(i, 2 * i - 1, i)
    expected[2 * i] = ("b%d@%d/%d"):format(i, 2 * i, i)
  end

  -- Whole pairs, in order.
  local function check_partial(ids)
    assert.equal(0, #ids % 2)
    for i, id in ipairs(ids) do
      assert.equal(expected[i], id)
    end
  end

  local function sweep(plain, options)
    local n, clean = 0
    repeat
      n = n + 1
      local path = new_path()
      local store, message = open(
        "faulty+sqlite:" .. path .. "?fail=any:" .. n .. options)
      clean = store and import(store, plain) or false
      assert.is_true(store ~= nil or n == 1, message)
      if store then
        store:close()
      end
      store = assert(open("sqlite:" .. path))
      check_partial(ids_of(store))
      assert.is_true(import(store, plain))
      assert.same(expected, ids_of(store))
      store:close()
    until clean
    return n
  end

  it("keeps every call whole", function()
    assert.equal(5, sweep(true, ""))
  end)

  it("keeps every transaction whole", function()
    assert.equal(14, sweep(false, ""))
  end)

  it("keeps them whole when only the answer is lost", function()
    assert.equal(5, sweep(true, "&when=after"))
    assert.equal(14, sweep(false, "&when=after"))
  end)
end)
