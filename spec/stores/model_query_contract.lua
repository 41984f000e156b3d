-- What every model store must answer to a query: the same to the letter.

local assert = require "luassert"
local busted = require "busted"
local kit = require "spec.stores.model_kit"

-- busted gives its words to spec files only.
local describe, it = busted.describe, busted.it

local accounts = {
  a = { owner = "Ada", balance = 100, rate = 0.5, active = true,
    last_activity = { timestamp = 1700000000000000 } },
  b = { owner = "bob", balance = -5, rate = 2.0, active = false,
    last_activity = { timestamp = 1700000000000001 } },
  c = { owner = "Ada Ł%", balance = 100, rate = -1.5 },
  d = { owner = "", balance = 0, active = true },
  e = {},
  ["it's \"e\""] = { owner = "it's \"e\"", balance = math.maxinteger },
}

local documents = {
  a = '{"n":1,"t":"x","b":true,"deep":{"er":{"k":1.5}}}',
  b = '{"n":2.5,"t":"Xy","b":false,"deep":{"er":[1,2]}}',
  c = '{"n":"2","t":null,"b":1,"deep":null}',
  d = '{"n":9007199254740993,"quoted \\"key\\"":"esc\\"aped\\n","t":"é"}',
  e = "[1,2]",
  f = '{"n":{"m":1},"t":["x"],"b":"true"}',
  g = '{"n":-3,"t":"10"}',
}

-- Next to where doubles and 64 bits end, as scripts store it.
local large = {
  a = '{"n":9007199254740992.0}',
  b = '{"n":9007199254740993}',
  c = '{"n":9007199254740994.0}',
  d = '{"n":9223372036854775807}',
  e = '{"n":9.2233720368547758e+18}', -- 2^63
  f = '{"n":1e+20}',
  g = '{"n":-9223372036854775808}',
}

local function own_accounts(open)
  local owner = kit.own(open(), kit.account_schema())
  owner:commit(accounts)
  return owner
end

local function own_documents(open, which)
  local owner = kit.own(open(), kit.schema())
  local models = {}
  for id, json in pairs(which or documents) do
    models[id] = { model = { json = json } }
  end
  owner:commit(models)
  return owner
end

-- Each case: the ids that are expected, then the terms.
local function check(owner, cases)
  for _, case in ipairs(cases) do
    local found = owner:ids(table.unpack(case, 2))
    assert.equal(case[1], found, table.concat(case, " | ", 2))
  end
end

local e = 'it\'s "e"'

local function fields(open)
  it("compares fields by their types", function()
    check(own_accounts(open), {
      { "a b c d e " .. e },
      { "a c", "balance=eq.100" },
      { "b d " .. e, "balance=neq.100" },
      { "a c d " .. e, "balance=gte.0" },
      { e, "balance=gt.100" },
      { "b", "balance=lt.0" },
      { "b d", "balance=lte.0" },
      { "b", "rate=eq.2" },
      { "a b", "rate=gt.0.25" },
      { "a d", "active=eq.true" },
      { "b", "active=eq.false" },
      { "b", "last_activity=gt.2023-11-14T22:13:20Z" },
      { "a", "last_activity=eq.2023-11-14T22:13:20Z" },
      { "a", "id=eq.a" },
      { "a b c", "id=lt.d" },
    })
  end)

  it("rounds no value before it compares", function()
    local between = "2023-11-14T22:13:20.0000005Z"
    check(own_accounts(open), {
      { "", "last_activity=eq." .. between },
      { "a b", "last_activity=neq." .. between },
      { "a b", "last_activity=not.eq." .. between },
      { "a", "last_activity=lt." .. between },
      { "a", "last_activity=lte." .. between },
      { "b", "last_activity=gt." .. between },
      { "b", "last_activity=gte." .. between },
      { "b", "last_activity=in.(" .. between
        .. ",2023-11-14T22:13:20.000001Z)" },
      { "a b c", "rate=lt.100000000000000000000" },
      { "", "rate=eq.9007199254740993" },
      { e, "balance=eq.9223372036854775807.0" },
    })
  end)

  it("compares text by its bytes", function()
    check(own_accounts(open), {
      { "a c d", "owner=lt.B" },
      { "b " .. e, "owner=gt.a" },
      { "d", "owner=eq." },
      { e, 'owner=eq.it\'s "e"' },
      { "c", "owner=eq.Ada Ł%" },
    })
  end)

  it("finds a pattern, in its case or in any", function()
    check(own_accounts(open), {
      { "a c", "owner=like.Ad*" },
      { "", "owner=like.ad*" },
      { "a c", "owner=ilike.aD*" },
      { "c", "owner=like.*\\%" },
      { "a b", "owner=like.___" },
      { "b " .. e, "owner=not.like.A*", "owner=gt.A" },
      { "a", "id=like.a" },
    })
  end)

  it("knows sets and nulls", function()
    check(own_accounts(open), {
      { "a b c", "balance=in.(100,-5,7)" },
      { "a b", "owner=in.(Ada,bob)" },
      { e, "id=in.(\"it's \\\"e\\\"\",zzz)" },
      { "e", "balance=is.null" },
      { "a b c d " .. e, "balance=not.is.null" },
      { "c e " .. e, "active=is.null" },
    })
  end)

  it("says neither yes nor no to a null", function()
    check(own_accounts(open), {
      { "b d " .. e, "balance=not.eq.100" },
      { "d " .. e, "balance=not.in.(100,-5)" },
      { "b", "not.or=(active.eq.true,balance.eq.7)" },
      { "a c d " .. e, "or=(active.eq.true,balance.gte.100)" },
      { "b d " .. e, "not.and=(balance.eq.100,id.gt.0)" },
      { "b d e " .. e, "not.and=(balance.eq.100,active.not.is.null,id.eq.a)",
        "id=neq.c" },
    })
  end)

  it("joins terms with and", function()
    check(own_accounts(open), {
      { "a", "balance=eq.100", "active=eq.true" },
      { "a b", "or=(and(balance.eq.100,active.eq.true),owner.eq.bob)" },
      { "c", "and=(balance.gte.100,or(rate.lt.0,owner.eq.nobody))" },
    })
  end)

  it("orders, with nulls last ascending and first descending", function()
    check(own_accounts(open), {
      { "b d a c " .. e .. " e", "order=balance" },
      { "e " .. e .. " a c d b", "order=balance.desc" },
      { "e b d a c " .. e, "order=balance.asc.nullsfirst" },
      { e .. " a c d b e", "order=balance.desc.nullslast" },
      { "b d c a " .. e .. " e", "order=balance,rate" },
      { "d a c b " .. e .. " e", "order=owner" },
      { e .. " e d c b a", "order=id.desc" },
      { "b a d c e " .. e, "order=active" },
      { "a b c d e " .. e, "order=last_activity" },
    })
  end)

  it("gives a page", function()
    check(own_accounts(open), {
      { "a b", "limit=2" },
      { "c d", "limit=2", "offset=2" },
      { "", "limit=0" },
      { "", "offset=99" },
      { e, "offset=5" },
    })
  end)

  it("gives the id and every field, or what was selected", function()
    local owner = own_accounts(open)
    local null = kit.null
    -- Fields come in the order of their names.
    assert.same({ { "a", true, 100, { timestamp = 1700000000000000 }, "Ada",
      0.5, null } }, owner:query "id=eq.a")
    assert.same({ { 100, "a", "Ada" } },
      owner:query("id=eq.a", "select=balance,id,owner"))
    assert.same({ { null } }, owner:query("id=eq.e", "select=rate"))
    assert.same({ { "Ada" } }, owner:query("rate=eq.0.5", "select=owner"))
  end)

  it("finds nothing in an empty table", function()
    local owner = kit.own(open(), kit.account_schema())
    assert.same({}, owner:query("balance=eq.1", "order=owner"))
  end)
end

local function json(open)
  it("compares places inside json with their own kind only", function()
    check(own_documents(open), {
      { "a", "n=eq.1" },
      { "c", 'n=eq."2"' },
      { "a b g", "n=lt.100" },
      { "b", "n=eq.2.5" },
      { "d", "n=eq.9007199254740993" },
      { "", "n=eq.9007199254740992" },
      { "d", "n=gt.9007199254740992.0" },
      { "a b g", "n=lte.9007199254740992.0" },
      { "a", "b=eq.true" },
      { "b", "b=eq.false" },
      { "f", 'b=eq."true"' },
      { "c", "b=eq.1" },
      { "a b d g", "n=neq.7" },
      { "a b d g", "n=not.eq.7" },
      { "d", "t=gt.a", "t=neq.x" },
      { "g", 't=eq."10"' },
    })
  end)

  it("compares numbers inside json by all of their digits", function()
    check(own_documents(open, large), {
      { "b", "n=eq.9007199254740993" },
      { "b", "n=eq.9007199254740993.0" },
      { "a", "n=eq.9007199254740992" },
      { "", "n=eq.9007199254740992.5" },
      { "a b c d e f g", "n=neq.9007199254740992.5" },
      { "a g", "n=lt.9007199254740992.5" },
      { "b c d e f", "n=gte.9007199254740992.5" },
      { "a b", "n=in.(9007199254740992.5,9007199254740992,9007199254740993)" },
      { "d", "n=eq.9223372036854775807" },
      { "e", "n=eq.9223372036854775808" },
      { "e f", "n=gt.9223372036854775807" },
      { "a b c d g", "n=lt.9223372036854775808" },
      { "f", "n=eq.100000000000000000000" },
      { "f", "n=eq.1e20" },
      { "f", "n=eq.100000000000000000001" },
      { "g", "n=eq.-9223372036854775808" },
      { "g", "n=lt.-9223372036854775807.5" },
      { "f e d c b a g", "n=is.not_null", "order=n.desc" },
    })
  end)

  it("finds places deep inside, and none where there is none", function()
    check(own_documents(open), {
      { "a", "deep->er->k=eq.1.5" },
      { "f", "n->m=eq.1" },
      { "", "n->m->o=eq.1" },
      { "b c d e f g", "deep->er->k=is.null" },
      { "c d e f g", "deep->er=is.null" },
      { "e", "n=is.null" },
      { "d", '"quoted \\"key\\""=like.esc*' },
    })
  end)

  it("knows patterns and sets of several kinds", function()
    check(own_documents(open), {
      { "a b", "t=ilike.x*" },
      { "d", "t=like._" , "t=neq.x" },
      { "a c", 'n=in.(1,"2")' },
      { "", 'n=not.in.(1,"2")' },
      { "b d g", "n=not.in.(1,2)" },
    })
  end)

  it("orders kinds, then values", function()
    check(own_documents(open), {
      { "g a b d c f e", "order=n" },
      { "e f c d b a g", "order=n.desc" },
      { "b a c f d e g", "order=b" },
      { "c d e f g a b", "order=t->none,deep.nullsfirst" },
    })
  end)

  it("gives places as they are", function()
    local owner = own_documents(open)
    assert.same({ { 1, "x", true, { json = '{"k":1.5}' } } },
      owner:query("id=eq.a", "select=n,t,b,deep->er"))
    assert.same({ { { json = "[1,2]" }, kit.null } },
      owner:query("id=eq.b", "select=deep->er,none->at->all"))
    assert.same({ { "c", kit.null } }, owner:query("id=eq.c", "select=id,t"))
    assert.same({ { 'esc"aped\n', 9007199254740993 } },
      owner:query("id=eq.d", 'select="quoted \\"key\\"",n'))
    assert.same({ { "e", { json = "[1,2]" } } }, owner:query "id=eq.e")
  end)

  it("reaches into json fields beside others", function()
    local owner = kit.own(open(), kit.account_schema())
    owner:commit {
      a = { balance = 1, tags = { json = '{"colour":"red","n":1}' } },
      b = { balance = 2, tags = { json = '{"colour":"blue","n":null}' } },
      c = { balance = 3 },
      d = { balance = 4, tags = { json = '"red"' } },
    }
    check(owner, {
      { "a", "tags->colour=eq.red" },
      { "b", "tags->colour=not.eq.red" },
      { "b c d", "tags->n=is.null" },
      { "c", "tags=is.null" },
      { "d", "tags=eq.red" },
      { "b a", "order=tags->>colour", "tags->colour=not.is.null" },
    })
    assert.same({ { "red", { json = '{"colour":"red","n":1}' } } },
      owner:query("id=eq.a", "select=tags->>colour,tags"))
  end)
end

return function(open)
  describe("a query", function()
    fields(open)
    json(open)
  end)
end
