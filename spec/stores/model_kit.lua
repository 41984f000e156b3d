-- What the specs of model stores share: schemas, and an owner that commits.

require "spec.helper"
local models = require "model_store_test"
require "model_commit_test"
require "model_admin_test"

local kit = { open = models.open, null = models.null }

-- {projection=, version=, key=, fields = {name = type}, indexes = {{name...}},
-- order = {name...}}
function kit.schema(given)
  given = given or {}
  local names, lines = {}, {}
  if given.key then
    lines[1] = "key " .. given.key
  end
  for name in pairs(given.fields or {}) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    lines[#lines + 1] = "field " .. name .. " " .. given.fields[name]
  end
  if not given.fields then
    lines[#lines + 1] = "whole_json"
  end
  for _, index in ipairs(given.indexes or {}) do
    lines[#lines + 1] = "index " .. table.concat(index, " ")
  end
  if given.order then
    lines[#lines + 1] = "order " .. table.concat(given.order, " ")
  end
  return assert(models.schema(given.projection or "account_summary",
    given.version or 1, table.concat(lines, "\n") .. "\n"))
end

kit.account_fields = {
  owner = "text",
  balance = "integer",
  rate = "number",
  active = "boolean",
  last_activity = "timestamp",
  tags = "json",
}

function kit.account_schema(changes)
  local given = { fields = kit.account_fields }
  for key, value in pairs(changes or {}) do
    given[key] = value
  end
  return kit.schema(given)
end

local owner = {}
owner.__index = owner

-- Own a projection and define it. key: its name, or one of its shards as
-- {name, build =, shard =}.
function kit.own(store, schema, key)
  key = key or "account_summary"
  if type(key) == "table" then
    schema = { schema, build = key.build, shard = key.shard }
  end
  local self = setmetatable({
    store = store,
    schema = schema,
    key = key,
    position = 0,
  }, owner)
  self.fence = assert(store:acquire(key, "the spec"))
  assert(store:define(schema, self.fence))
  self.revision = store:checkpoint(key).revision
  return self
end

-- models: id -> row, or false to delete. Everything else as in the write set;
-- all_new: say that none of the models is there.
function owner:try_commit(models_by_id, set)
  local list = {}
  for id, row in pairs(models_by_id or {}) do
    list[#list + 1] = { id = id, row = row, is_new = set and set.all_new }
  end
  local full = {
    schema = self.schema,
    models = list,
    position = self.position + 1,
    revision = self.revision,
    fence = self.fence,
  }
  for key, value in pairs(set or {}) do
    full[key] = value
  end
  return self.store:commit(full)
end

function owner:commit(models_by_id, set)
  assert(self:try_commit(models_by_id, set))
  self.revision = self.revision + 1
  self.position = set and set.position or self.position + 1
end

function owner:load(...)
  return assert(self.store:load(self.schema, { ... }))
end

function owner:query(...)
  return assert(self.store:query(self.schema, ...))
end

-- The ids a query finds, in order.
function owner:ids(...)
  local ids = {}
  for i, row in ipairs(self:query(...)) do
    ids[i] = row[1]
  end
  return table.concat(ids, " ")
end

function owner:checkpoint()
  return assert(self.store:checkpoint(self.key))
end

-- An event set aside.
function kit.aside(n, model_id, changes)
  local item = {
    model_id = model_id,
    error = "script:" .. n .. ": failed",
    at = 1000000 + n,
    position = n,
    version = n,
    recorded_at = 2000000 + n,
    id = "event-" .. n,
    stream = "account-" .. tostring(model_id),
    type = "MoneyDeposited",
    data = '{"amount":' .. n .. "}",
    metadata = n % 2 == 0 and '{"user":"ada"}' or nil,
    tenant = n % 2 == 1 and "acme" or nil,
  }
  for key, value in pairs(changes or {}) do
    item[key] = value
  end
  return item
end

return kit
