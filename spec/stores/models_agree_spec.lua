-- Every model store answers a query alike: many queries, made up by chance,
-- over the same models in each.

local helper = require "spec.helper"
local kit = require "spec.stores.model_kit"
local postgres = require "spec.postgres_server"
local lunette = require "lunette"

local QUERIES = 1000

local places = {
  memory = function()
    return "memory:"
  end,
  sqlite = function()
    return "sqlite:" .. helper.tmpdir() .. "/models.db"
  end,
}

local server, reason = postgres.start()
if server then
  function places.postgres()
    return server:new_database().url
  end
end

local seed = helper.seed(20261123)
local r

local function random(n)
  return r:within(1, n)
end

local function pick(list)
  return r:pick(list)
end

local texts = { "", "a", "A", "ab", "AB", "aB%", "_", "a_b", "\\", "'", '"',
  "Ł", "ł", "ß", "é", "e\u{301}", "😀", "10", "9", "true", "null", " a", "a ",
  "z\u{fffd}", "\u{e000}", "\u{10000}", "ab\ncd", "{}", "[1]" }
local integers = { 0, 1, -1, 2, 10, 100, 9007199254740992, 9007199254740993,
  math.maxinteger, math.mininteger, math.maxinteger - 1 }
local numbers = { 0.0, -0.0, 1.0, 1.5, -2.5, 0.1, 1e15, 1e300, 5e-324, -1e-7,
  9007199254740992.0, 2.0 ^ 63, -(2.0 ^ 63), 1.0e22, 123456789012345680.0 }

local json

local function members(depth)
  local object = {}
  for _ = 1, random(4) do
    object[pick { "n", "t", "b", "o", "aa", 'k"', "Ł" }] = json(depth + 1)
  end
  return object
end

function json(depth)
  local kind = random(depth > 2 and 6 or 8)
  if kind == 1 then
    return pick(integers)
  elseif kind == 2 then
    return pick(numbers)
  elseif kind <= 4 then
    return pick(texts)
  elseif kind == 5 then
    return random(2) == 1
  elseif kind == 6 then
    return lunette.null
  elseif kind == 7 then
    return { pick(integers), pick(texts) }
  end
  return members(depth)
end

local function maybe(value)
  if random(4) > 1 then
    return value
  end
end

local function row()
  return {
    owner = maybe(pick(texts)),
    balance = maybe(pick(integers)),
    rate = maybe(pick(numbers)),
    active = maybe(random(2) == 1),
    last_activity = maybe { timestamp = pick { 0, -1, 1700000000000001,
      -62135596800000000, 253402300799999999 } },
    tags = maybe { json = lunette.encode(members(1)) },
  }
end

-- ---- queries --------------------------------------------------------------

local function quoted(text)
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

local function number_text()
  local number = random(2) == 1 and pick(integers) or pick(numbers)
  return lunette.encode(number)
end

local function place()
  local keys = { "tags" }
  for _ = 1, random(3) do
    keys[#keys + 1] = pick { "n", "t", "b", "o", "aa", quoted 'k"', "Ł", "x" }
  end
  return table.concat(keys, "->")
end

local function pattern()
  local text = pick(texts):gsub("\\\\", "\\\\\\\\")
  return quoted(pick { text, text .. "*", "*" .. text, "_" .. text,
    "*" .. text .. "*", "a_*", "%" })
end

local compare = { "eq", "neq", "gt", "gte", "lt", "lte" }

-- The ids of the models that are asked for, and how a query writes one.
local ids_of = {
  text = {},
  integer = { "-9223372036854775808", "-9223372036854775807", "-1000", "-10",
    "-9", "-1", "0", "1", "2", "9", "10", "11", "99", "100", "1000",
    "4294967296", "9007199254740991", "9007199254740992", "9007199254740993",
    "9223372036854775806", "9223372036854775807" },
}
for _, text in ipairs(texts) do
  if text ~= "" then
    table.insert(ids_of.text, text)
    table.insert(ids_of.text, text .. "2")
  end
end
for i = 1, 25 do
  table.insert(ids_of.integer, tostring(12345 + i * 7919))
end

local write_id = {
  text = function()
    return quoted(pick(texts))
  end,
  integer = function()
    return pick(ids_of.integer)
  end,
}
local key -- "text" or "integer"

local fields = {
  function()
    return "owner", quoted(pick(texts))
  end,
  function()
    return "id", write_id[key]()
  end,
  function()
    return "balance", lunette.encode(pick(integers))
  end,
  function()
    return "rate", number_text()
  end,
  function()
    return "last_activity", pick { "1970-01-01T00:00:00Z",
      "2023-11-14T22:13:20.000001Z", "9999-12-31T23:59:59.999999Z" }
  end,
  function()
    return place(), pick { number_text(), quoted(pick(texts)), "true", "false" }
  end,
}

local condition

local function group(joint)
  local list = {}
  for _ = 1, random(3) do
    list[#list + 1] = condition(".")
  end
  return joint .. "(" .. table.concat(list, ",") .. ")"
end

-- between: "=" in a term, "." in a group.
function condition(between)
  local negated = random(3) == 1 and "not." or ""
  local kind = random(10)
  if between == "." and kind == 1 then
    return negated .. group(pick { "or", "and" })
  elseif kind == 2 then
    local name = pick { "owner", "balance", "rate", "active", "tags", place() }
    return name .. between .. negated .. "is.null"
  elseif kind == 3 then
    return pick { "active", place() } .. between .. negated .. "is."
      .. pick { "true", "false" }
  elseif kind <= 5 then
    return pick { "owner", "id", place() } .. between .. negated
      .. pick { "like", "ilike" } .. "." .. pattern()
  elseif kind == 6 then
    local make = pick(fields)
    local name, first = make()
    local list = { first }
    for _ = 1, random(3) do
      list[#list + 1] = select(2, make())
    end
    return name .. between .. negated .. "in.(" .. table.concat(list, ",")
      .. ")"
  end
  local name, value = pick(fields)()
  return name .. between .. negated .. pick(compare) .. "." .. value
end

local function query()
  local terms = {}
  for _ = 1, random(2) do
    if random(4) == 1 then
      terms[#terms + 1] = pick { "", "not." } .. group "or":gsub("%(", "=(", 1)
    else
      terms[#terms + 1] = condition "="
    end
  end
  if random(2) == 1 then
    terms[#terms + 1] = "order=" .. pick { "owner", "balance", "rate",
      "active", "last_activity", "id", place() .. ".desc", place() }
      .. pick { "", ".nullsfirst", ".nullslast" }
  end
  if random(3) == 1 then
    terms[#terms + 1] = "select=id," .. pick { "owner", "rate", "tags",
      place() }
  end
  if random(4) == 1 then
    terms[#terms + 1] = "limit=" .. random(7)
    terms[#terms + 1] = "offset=" .. random(5)
  end
  return terms
end

-- ---- the comparison -------------------------------------------------------

local function shown(rows)
  local lines = {}
  for i, values in ipairs(rows) do
    local parts = {}
    for j, value in ipairs(values) do
      if type(value) == "table" then
        value = value.json or value.timestamp
      end
      if value == 0 then
        value = math.type(value) == "float" and 0.0 or 0 -- of either sign
      end
      parts[j] = type(value) == "number" and string.format("%q", value)
        or tostring(value)
    end
    lines[i] = table.concat(parts, "|")
  end
  return lines
end

describe("model stores, seed " .. seed, function()
  if not server then
    pending("of PostgreSQL among them: " .. reason)
  end

  for _, key_type in ipairs { "text", "integer" } do
    describe("with ids of type " .. key_type, function()
      local owners = {}

      setup(function()
        r = helper.random(seed)
        key = key_type
        local models = {}
        for _, id in ipairs(ids_of[key]) do
          models[id] = row()
        end
        for kind, new_url in pairs(places) do
          local store = assert(kit.open(new_url()))
          owners[kind] = kit.own(store, kit.account_schema { key = key })
          owners[kind]:commit(models)
        end
      end)

      teardown(function()
        for _, owner in pairs(owners) do
          owner.store:close()
        end
      end)

      it("hold the same models, to the letter", function()
        local ids = {}
        for _, values in ipairs(owners.memory:query "limit=1000") do
          ids[#ids + 1] = tostring(values[1])
        end
        local expected = owners.memory:load(table.unpack(ids))
        assert.is_true(#ids > 40)
        for kind, owner in pairs(owners) do
          assert.same(expected, owner:load(table.unpack(ids)), kind)
        end
      end)

      it("answer every query alike", function()
        local found = 0
        for _ = 1, QUERIES do
          local terms = query()
          local rows, message = owners.memory.store:query(
            owners.memory.schema, table.unpack(terms))
          for kind, owner in pairs(owners) do
            local others, why = owner.store:query(
              owner.schema, table.unpack(terms))
            local context = kind .. ": " .. table.concat(terms, " & ")
            assert.equal(message, why, context)
            if rows then
              assert.same(shown(rows), shown(others), context)
            end
          end
          found = found + (rows and #rows or 0)
        end
        assert.is_true(found > QUERIES)
      end)
    end)
  end
end)
