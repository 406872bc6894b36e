-- Refuses HTTP requests by user, method, path and address, before Orthanc answers them: Orthanc says 403.
--
-- Off until orthanc.json names it and has rules; lua/README.md explains them:
--
--   "LuaScripts": ["/path/to/orthanc-deid/lua/http.lua"],
--   "OrthancDeidHttp": {
--     "Rules": [
--       {"Action": "allow", "Users": ["viewer"], "Methods": ["GET"]},
--       {"Action": "deny", "Users": ["viewer"]}
--     ],
--     "Default": "allow"
--   }
--
-- The first rule that matches decides; where none does, Default. A rule matches where every list that it has holds the
-- request. Orthanc hands over the path decoded and without what a client can put into it (//, /../, %73), and the
-- method as it will be carried out. The plugin's own requests, which carry its token, do not come here.

local SECTION = 'OrthancDeidHttp'
local METHODS = {GET = true, POST = true, PUT = true, DELETE = true}
local ACTIONS = {allow = true, deny = false}

local function fail(what)
   error(SECTION .. ' in orthanc.json: ' .. what)
end

-- Answers a list of texts; the start stops where it is none, or empty: that would match nothing or all.
local function texts(values, where)
   if type(values) ~= 'table' or #values == 0 then
      fail(where .. ' is not a list of at least one text')
   end
   for _, value in ipairs(values) do
      if type(value) ~= 'string' then
         fail(where .. ' holds something else than texts')
      end
   end
   return values
end

local function set(values, where)
   local found = {}
   for _, value in ipairs(texts(values, where)) do
      found[value] = true
   end
   return found
end

local function methods(values, where)
   local found = set(values, where)
   for method in pairs(found) do
      if not METHODS[method] then
         fail(where .. ': no method is called ' .. method)
      end
   end
   return found
end

-- Answers paths without a slash at their end, so that /studies is that path and all below it, not /studies-old.
local function prefixes(values, where)
   local found = {}
   for index, value in ipairs(texts(values, where)) do
      if value:sub(1, 1) ~= '/' then
         fail(where .. ': a path begins with /')
      end
      found[index] = (value:gsub('/+$', ''))
   end
   return found
end

local READ = {Users = set, Methods = methods, Prefixes = prefixes, Addresses = set}

local function action(value, where)
   if ACTIONS[value] == nil then
      fail(where .. ' is not allow or deny')
   end
   return ACTIONS[value]
end

local function rule(values, where)
   if type(values) ~= 'table' then
      fail(where .. ' is not a rule')
   end
   local found = {allows = action(values['Action'], where .. '.Action')}
   for key, value in pairs(values) do
      if key ~= 'Action' then
         if not READ[key] then
            fail('unknown key in ' .. where .. ': ' .. tostring(key))
         end
         found[key] = READ[key](value, where .. '.' .. key)
      end
   end
   return found
end

local section = GetOrthancConfiguration()[SECTION] or {}
for key in pairs(section) do
   if key ~= 'Rules' and key ~= 'Default' then
      fail('unknown key: ' .. tostring(key))
   end
end
local allowsByDefault = action(section['Default'] or 'allow', 'Default')
if type(section['Rules'] or {}) ~= 'table' then
   fail('Rules is not a list')
end
local rules = {}
for index, values in ipairs(section['Rules'] or {}) do
   rules[index] = rule(values, 'Rules[' .. index .. ']')
end

local function isBelow(uri, paths)
   for _, path in ipairs(paths) do
      if uri == path or uri:sub(1, #path + 1) == path .. '/' then
         return true
      end
   end
   return false
end

local function matches(one, method, uri, ip, username)
   return (not one.Users or one.Users[username])
      and (not one.Methods or one.Methods[method])
      and (not one.Addresses or one.Addresses[ip])
      and (not one.Prefixes or isBelow(uri, one.Prefixes))
end

-- Orthanc's name: false means 403.
function IncomingHttpRequestFilter(method, uri, ip, username, httpHeaders)
   for _, one in ipairs(rules) do
      if matches(one, method, uri, ip or '', username or '') then
         return one.allows
      end
   end
   return allowsByDefault
end
