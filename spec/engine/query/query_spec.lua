local helper = require "spec.helper"
local query = require "query_test"

local fields = {
  "balance", "data", "open", "owner", "rate", "since",
}
local typed = [[
field balance integer
field data json
field open boolean
field owner text
field rate number
field since timestamp
]]
local whole = "whole_json\n"

-- A column as text: "owner", "data>a>b"; whole models show their keys only.
local function column(c, schema)
  local parts = {}
  if c.field == -1 then
    parts[1] = "id"
  elseif schema == typed then
    parts[1] = fields[c.field + 1]
  end
  table.move(c.path, 1, #c.path, #parts + 1, parts)
  return table.concat(parts, ">")
end

local function value(v)
  return v[1] .. ":" .. tostring(v[2])
end

local function map(list, fn, schema)
  local out = {}
  for i, item in ipairs(list) do
    out[i] = fn(item, schema)
  end
  return table.concat(out, " ")
end

-- A condition as text: "(or (eq owner text:Ada) (is_null balance))".
local function condition(c, schema)
  if c.op == "and" or c.op == "or" or c.op == "not" then
    return "(" .. c.op .. " " .. map(c.children, condition, schema) .. ")"
  end
  local values = map(c.values, value)
  return "(" .. c.op .. " " .. column(c.column, schema)
    .. (values ~= "" and " " .. values or "") .. ")"
end

local function parse(terms, schema, limit, most)
  if type(terms) == "string" then
    terms = { terms }
  end
  return query.parse(schema or typed, terms, limit, most)
end

local function where(terms, schema)
  schema = schema or typed
  local parsed, message = parse(terms, schema)
  assert(parsed, message)
  return parsed.where and condition(parsed.where, schema) or "all"
end

local function refuses(terms, ...)
  local parsed, message, code = parse(terms)
  assert.is_nil(parsed)
  assert.equal("invalid", code)
  assert.is_true(#message < 512)
  for _, part in ipairs { ... } do
    assert.truthy(message:find(part, 1, true), message)
  end
end

describe("a filter", function()
  it("is a field, an operator and a value", function()
    for _, op in ipairs { "eq", "neq", "gt", "gte", "lt", "lte" } do
      assert.equal("(" .. op .. " balance integer:1000)",
        where("balance=" .. op .. ".1000"))
    end
    assert.equal("(eq id text:a-1)", where "id=eq.a-1")
  end)

  it("is turned round by not", function()
    assert.equal("(not (eq owner text:Ada))", where "owner=not.eq.Ada")
    assert.equal("(not (in balance integer:1))", where "balance=not.in.(1)")
    assert.equal("(not (is_null owner))", where "owner=not.is.null")
  end)

  it("holds together with all others", function()
    assert.equal("all", where {})
    assert.equal("(and (gte balance integer:1) (lt balance integer:9) "
      .. "(eq owner text:A))",
      where { "balance=gte.1", "balance=lt.9", "owner=eq.A" })
  end)

  it("takes the rest of its term as the value, as it stands", function()
    assert.equal("(eq owner text:a,b)(c.d =e )", where "owner=eq.a,b)(c.d =e ")
    assert.equal("(eq owner text:)", where "owner=eq.")
    assert.equal("(eq owner text:it's \\ 5\")", where "owner=eq.it's \\ 5\"")
  end)

  it("takes a value in double quotes without them", function()
    assert.equal('(eq owner text:a"b\\c)', where [[owner=eq."a\"b\\c"]])
    refuses('owner=eq."a"b', "follows the closing quote")
    refuses('owner=eq."a', "not closed")
    refuses('owner=eq."a\\', "not closed")
  end)

  it("can be quoted so that any text comes back", function()
    local function quoted(text)
      return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
    end
    for _, text in ipairs {
      "", "a", '"', "\\", 'a"b\\"', "1,2)", " x ", "null",
    } do
      for form, meaning in pairs {
        ["owner=eq.@"] = "(eq owner text:@)",
        ["or=(owner.eq.@)"] = "(or (eq owner text:@))",
        ["owner=in.(@)"] = "(in owner text:@)",
        ["data->x=eq.@"] = "(eq data>x text:@)",
      } do
        local expected = meaning:gsub("@", { ["@"] = text })
        local term = form:gsub("@", { ["@"] = quoted(text) })
        assert.equal(expected, where(term))
      end
    end
    assert.equal('(eq a"->b>c integer:1)',
      where(quoted 'a"->b' .. "->c=eq.1", whole))
  end)

  it("may have spaces around the name only", function()
    assert.equal("(eq owner text: A )", where " owner =eq. A ")
  end)
end)

describe("a value", function()
  it("of an integer field is a whole number, also as 3.0", function()
    assert.equal("(eq balance integer:-5)", where "balance=eq.-5")
    assert.equal("(eq balance integer:3)", where "balance=eq.3.0")
    assert.equal("(eq balance integer:1000)", where "balance=eq.1e3")
    assert.equal("(eq balance integer:9007199254740993)",
      where "balance=eq.9007199254740993.0")
    assert.equal("(eq balance integer:123)", where "balance=eq.12300e-2")
    assert.equal("(eq balance integer:9223372036854775807)",
      where "balance=eq.9223372036854775807")
    assert.equal("(eq balance integer:-9223372036854775808)",
      where "balance=eq.-9223372036854775808")
    for _, bad in ipairs {
      "3.5", "9007199254740993.5",
      "x", "", "1 ", " 1", "+1", "0x1", "01", "1e400", "null", "true",
      "9223372036854775808", "9223372036854775808.0", "1e19",
      "--1", "-", "1.", ".5", "\n1",
    } do
      refuses("balance=eq." .. bad, "balance takes a whole number")
    end
  end)

  it("of a number field is any number", function()
    assert.equal("(eq rate number:1.5)", where "rate=eq.1.5")
    assert.equal("(eq rate number:2.0)", where "rate=eq.2")
    assert.equal("(eq rate number:-0.25)", where "rate=eq.-2.5e-1")
    assert.equal("(eq rate number:1e+20)", where "rate=eq.1e20")
    assert.equal("(eq rate number:1e+20)",
      where "rate=eq.100000000000000000000")
    for _, bad in ipairs { "nan", "inf", "-Infinity", "1e999", "1,5", "" } do
      refuses("rate=eq." .. bad, "rate takes a number")
    end
  end)

  it("of a boolean field is true or false", function()
    assert.equal("(eq open boolean:1)", where "open=eq.true")
    assert.equal("(neq open boolean:0)", where "open=neq.false")
    for _, bad in ipairs { "1", "TRUE", "yes", "", "t" } do
      refuses("open=eq." .. bad, "open takes true or false")
    end
  end)

  it("of a timestamp field is a time or a date", function()
    local day = 1795392000000000
    assert.equal("(gt since timestamp:" .. day .. ")",
      where "since=gt.2026-11-23")
    assert.equal("(gt since timestamp:" .. day .. ")",
      where "since=gt.2026-11-23T02:00:00+02:00")
    assert.equal("(gt since timestamp:" .. day + 123456 .. ")",
      where 'since=gt."2026-11-23 00:00:00.123456Z"')
    for _, bad in ipairs {
      "2026-11-31", "2026-11", "today", "1795392000000000", "", "2026-11-23 ",
      "2026-11-23T00:00:00",
    } do
      refuses("since=gt." .. bad, "since takes a time")
    end
  end)

  it("between two that a field can hold is equal to none", function()
    for term, below in pairs {
      ["rate=@9007199254740993"] = "number:9.007199254741e+15",
      ["rate=@9007199254740992.5"] = "number:9.007199254741e+15",
      ["since=@1970-01-01T00:00:00.0000011Z"] = "timestamp:1",
      ["data->x=@9007199254740992.5"] = "integer:9007199254740992",
    } do
      local function meaning(op)
        return (where((term:gsub("@", op)))
          :gsub(below:gsub("[%-%.%+]", "%%%0"), "V")
          :gsub("rate", "C"):gsub("since", "C"):gsub("data>x", "C"))
      end
      assert.equal("(lte C V)", meaning "lt.")
      assert.equal("(lte C V)", meaning "lte.")
      assert.equal("(gt C V)", meaning "gt.")
      assert.equal("(gt C V)", meaning "gte.")
      assert.equal("(and (lte C V) (gt C V))", meaning "eq.")
      assert.equal("(or (lte C V) (gt C V))", meaning "neq.")
    end
    local seven = "1970-01-01T00:00:00.0000011Z"
    local day = "1970-01-01"
    assert.equal("(in since timestamp:0 timestamp:0)",
      where("since=in.(" .. table.concat({ day, seven, day }, ",") .. ")"))
    assert.equal("(in since timestamp:0)",
      where("since=in.(" .. day .. "," .. seven .. ")"))
    assert.equal("(and (lte since timestamp:1) (gt since timestamp:1))",
      where("since=in.(" .. seven .. "," .. seven .. ")"))
  end)

  it("in json is what it looks like, quotes making it a text", function()
    for literal, kind in pairs {
      ["5"] = "integer:5",
      ["-0"] = "integer:0",
      ["5.0"] = "integer:5",
      ["1e2"] = "integer:100",
      ["0.5e1"] = "integer:5",
      ["5.5"] = "number:5.5",
      ["9007199254740993.0"] = "integer:9007199254740993",
      ["9223372036854775808"] = "number:9.2233720368548e+18",
      ["9223372036854775807"] = "integer:9223372036854775807",
      ["true"] = "boolean:1",
      ["false"] = "boolean:0",
      ["True"] = "text:True",
      ["05"] = "text:05",
      ["1e999"] = "text:1e999",
      [""] = "text:",
      ['"5"'] = "text:5",
      ['"true"'] = "text:true",
      ['"null"'] = "text:null",
      ["2026-11-23"] = "text:2026-11-23",
    } do
      assert.equal("(eq data>x " .. kind .. ")",
        where("data->x=eq." .. literal))
    end
    refuses("data->x=eq.null", "is.null finds nulls")
  end)

  it("says how to find nulls", function()
    refuses("balance=eq.null", 'not "null"; is.null finds nulls')
    assert.equal("(eq owner text:null)", where "owner=eq.null")
  end)

  it("has at most 10,000 bytes", function()
    assert.truthy(parse("owner=eq." .. ("x"):rep(10000)))
    refuses("owner=eq." .. ("x"):rep(10001), "10001 bytes; at most 10000")
  end)
end)

describe("is", function()
  it("takes null and not_null on every field", function()
    for _, name in ipairs(fields) do
      assert.equal("(is_null " .. name .. ")", where(name .. "=is.null"))
    end
    assert.equal("(not (is_null data>a))", where "data->a=is.not_null")
    assert.equal("(is_null id)", where "id=is.null")
  end)

  it("takes true and false, never unknown of a null", function()
    assert.equal("(and (eq open boolean:1) (not (is_null open)))",
      where "open=is.true")
    assert.equal("(not (and (eq data>a boolean:0) (not (is_null data>a))))",
      where "data->a=not.is.false")
    refuses("owner=is.true", "for booleans; owner is of type text")
  end)

  it("takes nothing else", function()
    for _, bad in ipairs { "", "maybe", "NULL", '"null"', "5", "null " } do
      refuses("open=is." .. bad, "is takes null, not_null, true or false")
    end
  end)
end)

describe("in", function()
  it("takes a list, with quotes around what holds commas", function()
    assert.equal("(in balance integer:1 integer:2)", where "balance=in.(1,2)")
    assert.equal("(in owner text:a text:b text:c,d text:e)f)",
      where 'owner=in.(a,b,"c,d","e)f")')
    assert.equal("(in owner text:a b text: c  text:)",
      where 'owner=in.( a b , " c " ,)')
  end)

  it("types every value as its field", function()
    assert.equal("(in data>x integer:1 text:1 boolean:1 text:y)",
      where 'data->x=in.(1,"1",true,y)')
    refuses("balance=in.(1,x)", '64 bits, such as 1000, not "x"')
  end)

  it("of nothing is always false, and not unknown", function()
    assert.equal("(and (is_null owner) (not (is_null owner)))",
      where "owner=in.()")
    assert.equal('(in owner text:)', where 'owner=in.("")')
  end)

  it("needs its parentheses", function()
    refuses("owner=in.a,b", '"(" should follow in.')
    refuses("owner=in.(a", '")" should follow the values of in')
    refuses("owner=in.(a)b", '"b" follows where it should end')
    refuses('owner=in.("a"b)', "follows the closing quote")
    refuses('owner=in.("a)', "not closed")
  end)

  it("takes at most 1,000 values, and a query 10,000", function()
    local list = "balance=in.(" .. ("1,"):rep(999) .. "1)"
    assert.equal(1000, #parse(list).where.values)
    refuses("balance=in.(" .. ("1,"):rep(1000) .. "1)", "more than 1000 values")
    local terms = {}
    for i = 1, 10 do
      terms[i] = list
    end
    assert.truthy(parse(terms))
    terms[11] = "balance=eq.1"
    refuses(terms, "more than 10000 values")
  end)
end)

describe("like", function()
  it("takes * for %", function()
    assert.equal("(like owner text:A%_%)", where "owner=like.A*_%")
    assert.equal("(ilike id text:%x\\*)", where "id=ilike.*x\\*")
    assert.equal("(like owner text:\\\\%)", where [[owner=like."\\\\*"]])
    assert.equal("(like data>a text:5%)", where "data->a=like.5*")
  end)

  it("is for texts", function()
    for _, name in ipairs { "balance", "open", "rate", "since" } do
      refuses(name .. "=like.1*", "like and ilike are for texts", name)
    end
  end)

  it("refuses a backslash with nothing behind it", function()
    refuses("owner=like.a\\", "must not end in a single backslash")
    assert.equal("(like owner text:a\\\\)", where "owner=like.a\\\\")
  end)

  it("takes at most 1,000 bytes", function()
    assert.truthy(parse("owner=like." .. ("*"):rep(1000)))
    refuses("owner=like." .. ("*"):rep(1001), "1001 bytes; at most 1000")
  end)
end)

describe("a group", function()
  it("joins conditions by or and by and", function()
    assert.equal("(or (eq balance integer:1) (eq owner text:Ada))",
      where "or=(balance.eq.1,owner.eq.Ada)")
    assert.equal("(and (eq balance integer:1))", where "and=(balance.eq.1)")
  end)

  it("nests, and may be turned round", function()
    assert.equal(
      "(or (eq owner text:a,b)) (and (not (gt rate number:1.5)) "
        .. "(not (or (is_null since) (in id text:x text:y)))))",
      where('or=(owner.eq."a,b)",and(rate.not.gt.1.5,'
        .. "not.or(since.is.null,id.in.(x,y))))"))
    assert.equal("(not (or (eq owner text:a)))", where "not.or=(owner.eq.a)")
    assert.equal("(not (and (eq owner text:a)))", where "not.and=(owner.eq.a)")
    assert.equal("(or (not (and (eq owner text:a))))",
      where "or=(not.and(owner.eq.a))")
  end)

  it("does not mind spaces around names, values and commas", function()
    assert.equal("(or (eq owner text:a b) (and (eq balance integer:1)) "
      .. "(in id text:x))",
      where "or=( owner.eq. a b , and( balance.eq.1 ) , id.in.( x ) )")
  end)

  it("reaches into json", function()
    assert.equal("(or (eq data>a>b integer:5) (eq data>c.d text:x))",
      where 'or=(data->a->>b.eq.5,data->>"c.d".eq.x)')
  end)

  it("has to be whole", function()
    refuses("or=(owner.eq.a", 'ends where ")" should follow')
    refuses("or=(owner.eq.a)b", '"b" follows where it should end')
    refuses("or=()", "needs a condition")
    refuses("or=(and())", "needs a condition")
    refuses("or=(owner.eq.a,)", "a name is missing")
    refuses("or=owner.eq.a", '"(" should follow or')
    refuses("or=(owner=eq.a)", '"." should follow the field')
    refuses("or=(owner)", '"." should follow the field')
    refuses('or=(owner.eq."a"b)', "follows the closing quote")
    refuses("or=(owner.eq.a,limit.eq.5)", 'no field "limit"')
  end)

  it("is at most 10 deep", function()
    local function nested(depth)
      return "or=" .. ("(or"):rep(depth - 1) .. "(id.eq.a" .. (")"):rep(depth)
    end
    assert.truthy(parse(nested(10)))
    refuses(nested(11), "at most 10 deep")
    refuses(nested(5000), "at most 10 deep")
    -- side by side is not deep
    assert.truthy(parse("or=(" .. ("and(id.eq.a),"):rep(20) .. "id.eq.a)"))
  end)
end)

describe("a query", function()
  it("has at most 100 conditions, however they are spread", function()
    local terms = {}
    for i = 1, 100 do
      terms[i] = "owner=eq.a"
    end
    assert.truthy(parse(terms))
    terms[101] = "owner=eq.a"
    refuses(terms, "more than 100 conditions")
    refuses("or=(" .. ("id.eq.a,"):rep(100) .. "id.eq.a)",
      "more than 100 conditions")
  end)

  it("has at most a mebibyte of text", function()
    local long = "id=in.(" .. (("x"):rep(9000) .. ","):rep(99) .. ")"
    assert.truthy(parse(long))
    refuses({ long, long }, "more than 1048576 bytes")
  end)

  it("is UTF-8 without NUL", function()
    refuses({ "id=eq.a", "owner=eq.\xff" }, "term 2 is not UTF-8")
    refuses("owner=eq.a\0b", "term 1 is not UTF-8")
    refuses({ "id=eq.a", "" }, "term 2 is empty")
    assert.equal("(eq owner text:Émile ☾)", where "owner=eq.Émile ☾")
  end)

  it("has filters with an operator it knows", function()
    refuses("balance", 'no "="', "balance=gte.1000")
    refuses("balance=1000", '"1000" is no operator', "eq neq gt gte lt lte")
    refuses("balance=fts.x", '"fts" is no operator')
    refuses("balance=", '"" is no operator')
    refuses("balance=eq", "ends where", '"."')
    refuses("balance=EQ.1", "no operator")
    refuses("balance=not.not.eq.1", '"not" is no operator')
    refuses("owner=like(any).{a}", '"." should follow the operator')
  end)

  it("names in its errors the term, cut where it is long", function()
    refuses("balance=eq.x", 'query term "balance=eq.x": ')
    refuses("balance=eq." .. ("é"):rep(100), 'query term "balance=eq.é',
      'é...": ')
    local _, message = parse("balance=eq.x" .. ("é"):rep(100))
    assert.truthy(utf8.len(message))
  end)
end)

describe("a name in a query", function()
  it("has to be a field, or the nearest is named", function()
    refuses("blance=eq.5", 'account_summary has no field "blance"',
      'did you mean "balance"?')
    refuses("Owner=eq.x", 'did you mean "owner"?')
    refuses("colour=eq.5", "it has id, balance, data, open, owner, rate, since")
    refuses("=eq.5", "a name is missing")
    refuses(("x"):rep(300) .. "=eq.5", "has no field")
  end)

  it("names many fields without outgrowing a message", function()
    local lines = {}
    for i = 1, 100 do
      lines[i] = ("field %s%03d text\n"):format(("f"):rep(37), i)
    end
    local _, message = parse("x=eq.1", table.concat(lines))
    assert.truthy(message:find(", ...", 1, true), message)
    assert.is_true(#message < 512)
  end)

  it("may be in quotes", function()
    assert.equal("(eq owner text:a)", where '"owner"=eq.a')
    assert.equal("(eq data>a=b>c.d integer:1)",
      where 'data->"a=b"->>"c.d"=eq.1')
    refuses('"owner=eq.a', "not closed")
    refuses('""=eq.a', "a name is missing")
  end)

  it("may be a path into a json field only", function()
    assert.equal("(eq data integer:1)", where "data=eq.1")
    assert.equal("(eq data>a>0>c integer:1)", where "data->a->0->>c=eq.1")
    refuses("owner->a=eq.1", "owner is text; only json fields")
    refuses("id->a=eq.1", "id is text; only json fields")
    refuses("data->=eq.1", "a name is missing")
  end)

  it("may be an id that is an integer", function()
    local keyed = "key integer\n" .. typed
    assert.equal("(gte id integer:10)", where("id=gte.10", keyed))
    assert.equal("(eq id integer:9007199254740993)",
      where("id=eq.9007199254740993", keyed))
    assert.equal("(in id integer:1 integer:-2)", where("id=in.(1,-2)", keyed))
    assert.equal("(eq id integer:1000)", where("id=eq.1e3", keyed))
    for term, why in pairs {
      ["id=eq.abc"] = 'id takes a whole number of at most 64 bits, '
        .. 'such as 1000, not "abc"',
      ["id=eq.007"] = "id takes a whole number",
      ["id=eq.9223372036854775808"] = "a whole number of at most 64 bits",
      ["id=like.1*"] = "like and ilike are for texts; id is of type integer",
      ["id->a=eq.1"] = "id is integer; only json fields",
      ["id=is.true"] = "are for booleans; id is of type integer",
    } do
      local _, message = query.parse(keyed, { term })
      assert.truthy(message:find(why, 1, true), message)
    end
  end)

  it("has at most 8 keys behind it", function()
    assert.truthy(parse("data" .. ("->a"):rep(8) .. "=eq.1"))
    refuses("data" .. ("->a"):rep(9) .. "=eq.1", "at most 8 keys")
    refuses("data" .. ("->a"):rep(500) .. "=eq.1", "at most 8 keys")
    assert.truthy(parse("a" .. ("->a"):rep(7) .. "=eq.1", whole))
    assert.is_nil(parse("a" .. ("->a"):rep(8) .. "=eq.1", whole))
  end)

  it("that is a word of the language goes in quotes or in a group", function()
    local reserved = "field and text\nfield limit text\nfield not text\n"
      .. "field offset text\nfield or text\nfield order text\n"
      .. "field select text\n"
    for _, name in ipairs {
      "and", "limit", "not", "offset", "or", "order", "select",
    } do
      local quoted = assert(parse('"' .. name .. '"=eq.x', reserved))
      local grouped = assert(parse("and=(" .. name .. ".eq.x)", reserved))
      assert.equal(name, quoted.where.column.name)
      assert.equal(name, grouped.where.children[1].column.name)
      assert.equal(name,
        assert(parse("order=" .. name, reserved)).order[1].name)
    end
    assert.is_nil(parse("or=eq.x", reserved))
    assert.truthy(parse("not=eq.x", reserved))
  end)

  it("is a path from the start where no fields are declared", function()
    assert.equal("(eq id text:5)", where("id=eq.5", whole))
    assert.equal("(eq a integer:5)", where("a=eq.5", whole))
    assert.equal("(eq a>b>c integer:5)", where("a->b->>c=eq.5", whole))
    assert.equal("(eq model>x integer:5)", where("model->x=eq.5", whole))
    assert.equal("(eq my key integer:5)", where("my key=eq.5", whole))
    assert.is_nil(parse("a.b=eq.5", whole))
    assert.equal("(eq a.b integer:5)", where('"a.b"=eq.5', whole))
  end)
end)

describe("order", function()
  local function order(text, schema)
    local parsed, message = parse("order=" .. text, schema)
    assert(parsed, message)
    return map(parsed.order, function(o)
      return column(o, schema or typed) .. (o.descending and "-" or "+")
        .. (o.nulls_first and "first" or "last")
    end)
  end

  it("is ascending unless it says desc", function()
    assert.equal("balance-first id+last", order "balance.desc,id")
    assert.equal("owner+last", order "owner.asc")
    assert.equal("data>a>b-first", order "data->a->>b.desc")
    assert.equal("x>y+last", order("x->y", whole))
  end)

  it("says where nulls go", function()
    assert.equal("owner+first", order "owner.nullsfirst")
    assert.equal("owner+last", order "owner.asc.nullslast")
    assert.equal("owner-last id-first",
      order "owner.desc.nullslast, id.desc.nullsfirst")
  end)

  it("takes nothing else", function()
    for _, bad in ipairs {
      "owner.down", "owner.desc.asc", "owner.nullsfirst.desc", "owner desc",
      "owner.desc.", "owner.descending",
    } do
      assert.is_nil((parse("order=" .. bad)), bad)
    end
    refuses("order=", "a name is missing")
    refuses("order=owner,", "a name is missing")
    refuses("order=colour", 'no field "colour"')
    refuses({ "order=owner", "order=id" }, "order is given twice")
    refuses("order=" .. ("id,"):rep(200) .. "id", "more than 200 columns")
  end)
end)

describe("select", function()
  local function select(text, schema)
    local parsed, message = parse("select=" .. text, schema)
    assert(parsed, message)
    return map(parsed.select, function(c)
      return c.name .. "=" .. column(c, schema or typed)
    end)
  end

  it("names columns, each by its last key or an alias", function()
    assert.equal("id=id balance=balance", select "id,balance")
    assert.equal("b=data>a>b x=data>b", select "data->a->>b,x:data->b")
    assert.equal("the owner=owner", select '"the owner":owner')
    assert.equal("a=a c=b>c", select("a, b->c", whole))
  end)

  it("is everything as * or when it is left out", function()
    assert.equal("", select "*")
    assert.same({}, parse({}).select)
  end)

  it("gives no two columns one name", function()
    refuses("select=owner,owner", 'two columns would be called "owner"')
    refuses("select=data->a,data->b->a", 'called "a"')
    refuses("select=x:id,x:owner", 'called "x"')
  end)

  it("takes nothing else", function()
    refuses("select=", "a name is missing")
    refuses("select=owner,", "a name is missing")
    refuses("select=*,owner", 'no field "*"')
    refuses("select=owner.desc", "commas between")
    refuses("select=owner::text", "a name is missing")
    refuses("select=x:colour", 'no field "colour"')
    refuses({ "select=id", "select=owner" }, "select is given twice")
    local long = {}
    for i = 1, 201 do
      long[i] = "a" .. i .. ":id"
    end
    refuses("select=" .. table.concat(long, ","), "more than 200 columns")
  end)
end)

describe("limit and offset", function()
  it("are whole numbers", function()
    local parsed = parse { "limit=10", "offset=20" }
    assert.equal(10, parsed.limit)
    assert.equal(20, parsed.offset)
    assert.equal(0, parse("limit=0").limit)
    assert.equal(math.maxinteger, parse("offset=9223372036854775807").offset)
    for _, bad in ipairs {
      "", "-1", "1.0", " 1", "x", "9223372036854775808",
      "99999999999999999999999",
    } do
      refuses("limit=" .. bad, "limit takes a whole number")
      refuses("offset=" .. bad, "offset takes a whole number")
    end
  end)

  it("have defaults, and a highest limit", function()
    local parsed = parse({}, typed, 7, 50)
    assert.equal(7, parsed.limit)
    assert.equal(0, parsed.offset)
    assert.equal(50, parse("limit=50", typed, 7, 50).limit)
    local _, message = parse("limit=51", typed, 7, 50)
    assert.truthy(message:find("above 50", 1, true))
    assert.truthy(message:find("query_limit_max", 1, true))
  end)

  it("are given once", function()
    refuses({ "limit=1", "limit=1" }, "limit is given twice")
    refuses({ "offset=0", "offset=0" }, "offset is given twice")
  end)
end)

describe("matching with like", function()
  local function matches(pattern, text, fold)
    return query.like(pattern, text, fold)
  end

  it("takes % for any run and _ for one character", function()
    for _, case in ipairs {
      { "", "" }, { "%", "" }, { "%", "abc" }, { "%%", "" }, { "a%", "a" },
      { "a%", "abc" }, { "%c", "abc" }, { "%b%", "abc" }, { "a_c", "abc" },
      { "___", "abc" }, { "_%_", "ab" }, { "%a%b%", "xaxbx" },
      { "%aab", "aaab" }, { "%ab%ab", "abxabab" }, { "a%b%c", "abbcbc" },
    } do
      assert.is_true(matches(case[1], case[2]), case[1] .. " ~ " .. case[2])
    end
    for _, case in ipairs {
      { "", "a" }, { "a", "" }, { "_", "" }, { "a%", "ba" }, { "%c", "cab" },
      { "a_c", "ac" }, { "___", "ab" }, { "__", "abc" }, { "%ab%ab", "xab" },
      { "a%b", "acc" }, { "abc", "ab" }, { "ab", "abc" }, { "_%_", "a" },
    } do
      assert.is_false(matches(case[1], case[2]), case[1] .. " !~ " .. case[2])
    end
  end)

  it("takes the character behind a backslash as it is", function()
    assert.is_true(matches("100\\%", "100%"))
    assert.is_false(matches("100\\%", "1000"))
    assert.is_true(matches("a\\_b", "a_b"))
    assert.is_false(matches("a\\_b", "axb"))
    assert.is_true(matches("a\\\\b", "a\\b"))
    assert.is_true(matches("a\\*b", "a*b"))
    assert.is_true(matches("%\\é%", "xéx"))
    assert.is_true(matches("a\\", "a\\"))
  end)

  it("minds case unless it is told to fold A-Z", function()
    assert.is_false(matches("ada", "ADA"))
    assert.is_true(matches("aDa%", "AdA LOVELACE", true))
    assert.is_false(matches("é", "É", true))
    assert.is_false(matches("[", "{", true))
    assert.is_false(matches("@", "`", true))
  end)

  it("counts characters, not bytes", function()
    assert.is_true(matches("_", "é"))
    assert.is_true(matches("_", "☾"))
    assert.is_true(matches("__", "é☾"))
    assert.is_false(matches("__", "☾"))
    assert.is_false(matches("%__", "☾"))
    assert.is_true(matches("%☾_", "☾☾é"))
    assert.is_true(matches("_é%", "☾é"))
  end)

  it("agrees with a plain definition on all small cases", function()
    local function plain(p, t)
      if p == "" then
        return t == ""
      end
      local c, rest = p:sub(1, 1), p:sub(2)
      if c == "%" then
        for i = 1, #t + 1 do
          if plain(rest, t:sub(i)) then
            return true
          end
        end
        return false
      end
      local one = t ~= "" and (c == "_" or c == t:sub(1, 1))
      return one and plain(rest, t:sub(2))
    end
    local function words(letters, length)
      local list, last = { "" }, { "" }
      for _ = 1, length do
        local next = {}
        for _, word in ipairs(last) do
          for letter in letters:gmatch "." do
            next[#next + 1] = word .. letter
          end
        end
        last = next
        table.move(next, 1, #next, #list + 1, list)
      end
      return list
    end
    local texts = words("ab", 5)
    for _, pattern in ipairs(words("ab%_", 4)) do
      for _, text in ipairs(texts) do
        if plain(pattern, text) ~= matches(pattern, text) then
          error(pattern .. " and " .. text)
        end
      end
    end
  end)

  it("comes to an end with patterns made to take forever", function()
    local pattern = ("%a"):rep(300) .. "%b"
    local text = ("a"):rep(20000)
    assert.is_false(matches(pattern, text))
    assert.is_false(matches(("%_"):rep(300) .. "b", text))
  end)
end)

describe("docs/query.md", function()
  local schema = "field address json\nfield balance integer\n"
    .. "field closed_at timestamp\nfield owner text\n"

  it("shows terms that are taken", function()
    local seen = 0
    local text = helper.read_file(helper.root .. "/docs/query.md")
    for line in text:gmatch "[^\n]+" do
      if line:match "^[%l_.]+=[%l(%d]" then
        seen = seen + 1
        assert(parse(line, schema))
      end
    end
    assert.equal(10, seen)
  end)

  it("names the limits", function()
    local text = helper.read_file(helper.root .. "/docs/query.md")
    local header = helper.read_file(helper.root .. "/engine/query/query.h")
    for name, row in pairs {
      TERMS_MAX = "conditions in a query | %s |",
      DEPTH_MAX = "groups inside groups | %s |",
      PATH_MAX = "keys of a path | %s |",
      COLUMNS_MAX = "columns of `order` · of `select` | %s |",
      IN_MAX = "values of one `in` · of a query | %s ·",
      VALUES_MAX = " · %s |",
      VALUE_MAX = "bytes of a value · of a pattern | %s ·",
      PATTERN_MAX = " · %s |",
    } do
      local limit = header:match("LUN_QUERY_" .. name .. "%s+(%d+)")
      limit = limit:gsub("(%d)(%d%d%d)$", "%1,%2")
      assert.truthy(text:find(row:format(limit), 1, true), name)
    end
  end)
end)
