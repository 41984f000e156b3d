-- message-db's own functions write, Lunette reads: all of it, and a category.

local helper = require "spec.helper"
local kit = require "spec.judges.judge_kit"

local seed = helper.seed()

-- Its own installer, which finds psql on the PATH.
local function install(server, database)
  local code, out, err = helper.run({ "bash", kit.folder
    .. "/node_modules/@eventide/message-db/database/install.sh" }, {
    env = {
      PATH = server.psql:match "^(.*)/" .. ":" .. os.getenv "PATH",
      PGHOST = server.dir,
      PGUSER = server.user,
      DATABASE_NAME = database.name,
      CREATE_DATABASE = "off",
    },
  })
  assert(code == 0, out .. err)
end

describe("what message-db writes #judges, seed " .. seed, function()
  if kit.missing then
    pending(kit.missing)
    return
  end

  for _, version in ipairs(kit.versions) do
    it("becomes models once and in order, PostgreSQL " .. version, function()
      local server = kit.server(version)
      finally(function() server:stop "immediate" end)
      local database = server:new_database()
      install(server, database)
      local url = database:with "layout=message-db"
      local whole = kit.place(url, database:with "schema=models")
      local category = kit.place(url .. "&category=account",
        "sqlite:models.db")
      local said = kit.kill_while_writing(
        kit.write("message_db", database.url, seed, 20), { whole, category },
        helper.random(seed))
      assert.is_true(said.written > 300 and said.rolledBack > 10)
      local written = kit.read_back("message_db", database.url)
      kit.check(whole, written)
      kit.check(category, written, { prefix = "account-" })
    end)
  end
end)
