local contract = require "spec.stores.model_store_contract"
local kit = require "spec.stores.model_kit"
local postgres = require "spec.postgres_server"

local server, why = postgres.start()

describe("the postgres model store #postgres", function()
  if not server then
    pending(why)
    return
  end

  local database = server:new_database()
  local schemas = 0

  -- A place of its own for every spec; a schema is made sooner than a database.
  local function new_schema()
    schemas = schemas + 1
    return "s" .. schemas
  end

  contract(function()
    collectgarbage() -- closes what the spec before has opened
    return assert(kit.open(database:with("schema=" .. new_schema())))
  end)
end)
